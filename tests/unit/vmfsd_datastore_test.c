/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of datastores: who is in it, and for how long. */
#include <atf-c.h>

#include "vmfsd/datastore.h"

static char name[] = "ds1", lun[] = "/nowhere/lun", dir[] = "/nowhere";
static const struct conf_datastore conf = {
	.name = name, .lun = lun, .mount = dir,
};

/* As a command that lists them. */
static bool
is_there(struct datastores *all)
{
	struct datastore *d;

	if (datastore_try(all, name, &d) < 0)
		return false;
	datastore_put(d);
	return true;
}

ATF_TC_WITHOUT_HEAD(one_that_is_not_listed_stays_while_it_is_held);
ATF_TC_BODY(one_that_is_not_listed_stays_while_it_is_held, tc)
{
	struct datastore *held = NULL, *other = NULL;
	struct datastores all;

	datastores_init(&all, NULL, NULL, NULL);
	ATF_REQUIRE_EQ(0, datastore_add(&all, &conf, &held));
	ATF_CHECK_EQ(-EEXIST, datastore_add(&all, &conf, &other));
	ATF_CHECK(other == NULL);
	/* Who looks at it before it is mounted does not end it. */
	ATF_CHECK(is_there(&all));
	ATF_CHECK(is_there(&all));
	datastore_unref(held);
	ATF_CHECK(!is_there(&all));
	datastores_fini(&all);
}

ATF_TC_WITHOUT_HEAD(one_that_is_listed_stays);
ATF_TC_BODY(one_that_is_listed_stays, tc)
{
	struct datastores all;

	datastores_init(&all, NULL, NULL, NULL);
	ATF_REQUIRE_EQ(0, datastore_add(&all, &conf, NULL));
	ATF_CHECK(is_there(&all));
	ATF_CHECK(is_there(&all));
	datastores_fini(&all);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, one_that_is_not_listed_stays_while_it_is_held);
	ATF_TP_ADD_TC(tp, one_that_is_listed_stays);
	return atf_no_error();
}
