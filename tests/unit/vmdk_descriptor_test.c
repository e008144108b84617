/* SPDX-License-Identifier: BSD-2-Clause */
/* VMDK descriptors: written, read, and foreign ones. */
#include <atf-c.h>
#include <string.h>

#include "libvmfs/base/units.h"
#include "libvmfs/vmdk/descriptor.h"

static const struct vmdk_descriptor sample = {
	.size_bytes = 2 * GIB,
	.cid = 0xfffffffe,
	.extent = "vm 1-flat.vmdk",
	.key = "aes-256-xts:00ff:1234",
};

ATF_TC_WITHOUT_HEAD(what_is_written_is_read);
ATF_TC_BODY(what_is_written_is_read, tc)
{
	struct vmdk_descriptor d;
	char buf[4096];
	size_t len;

	ATF_REQUIRE_EQ(vmdk_descriptor_format(&sample, buf, sizeof(buf),
	    &len), 0);
	ATF_CHECK_EQ(strlen(buf), len);
	ATF_REQUIRE_EQ(vmdk_descriptor_parse(buf, len, &d), 0);
	ATF_CHECK_EQ(d.size_bytes, 2 * GIB);
	ATF_CHECK_EQ(d.cid, 0xfffffffe);
	ATF_CHECK_STREQ(d.extent, "vm 1-flat.vmdk");
	ATF_CHECK_STREQ(d.adapter, "lsilogic");
	ATF_CHECK_STREQ(d.key, "aes-256-xts:00ff:1234");
	for (size_t i = 0; i <= len; i++)
		ATF_CHECK_EQ(vmdk_descriptor_format(&sample, buf, i, &len),
		    -ENOSPC);
}

ATF_TC_WITHOUT_HEAD(unwritable_values_are_refused);
ATF_TC_BODY(unwritable_values_are_refused, tc)
{
	struct vmdk_descriptor d = sample;
	char buf[4096];
	size_t len;

	d.size_bytes = 1000;
	ATF_CHECK_EQ(vmdk_descriptor_format(&d, buf, 4096, &len), -EINVAL);
	d = sample;
	d.cid = 0xffffffff;
	ATF_CHECK_EQ(vmdk_descriptor_format(&d, buf, 4096, &len), -EINVAL);
	d = sample;
	strcpy(d.extent, "a\"b");
	ATF_CHECK_EQ(vmdk_descriptor_format(&d, buf, 4096, &len), -EINVAL);
	d = sample;
	strcpy(d.key, "a\nb");
	ATF_CHECK_EQ(vmdk_descriptor_format(&d, buf, 4096, &len), -EINVAL);
}

static const char qemu[] =
    "# Disk DescriptorFile\r\n"
    "version=1\r\n"
    "CID=5b1f3f4a\r\n"
    "parentCID=ffffffff\r\n"
    "createType=\"monolithicFlat\"\r\n"
    "\r\n"
    "# Extent description\r\n"
    "RW 20480 FLAT \"x-flat.vmdk\" 0\r\n"
    "\r\n"
    "# The Disk Data Base\r\n"
    "#DDB\r\n"
    "\r\n"
    "ddb.virtualHWVersion = \"4\"\r\n"
    "ddb.adapterType = \"ide\"\r\n";

ATF_TC_WITHOUT_HEAD(descriptor_of_another_program_is_read);
ATF_TC_BODY(descriptor_of_another_program_is_read, tc)
{
	struct vmdk_descriptor d;

	ATF_REQUIRE_EQ(vmdk_descriptor_parse(qemu, strlen(qemu), &d), 0);
	ATF_CHECK_EQ(d.size_bytes, 10 * MIB);
	ATF_CHECK_EQ(d.cid, 0x5b1f3f4a);
	ATF_CHECK_STREQ(d.extent, "x-flat.vmdk");
	ATF_CHECK_STREQ(d.adapter, "ide");
}

static int
parse(const char *text)
{
	struct vmdk_descriptor d;

	return vmdk_descriptor_parse(text, strlen(text), &d);
}

#define HEAD "# Disk DescriptorFile\nCID=1\n"
#define TYPE "createType=\"vmfs\"\n"
#define EXTENT "RW 1 VMFS \"a\"\n"

ATF_TC_WITHOUT_HEAD(what_cannot_be_served_is_refused);
ATF_TC_BODY(what_cannot_be_served_is_refused, tc)
{
	ATF_CHECK_EQ(parse(HEAD TYPE EXTENT), 0);
	ATF_CHECK_EQ(parse(""), -EINVAL);
	ATF_CHECK_EQ(parse(TYPE EXTENT), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD TYPE), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD EXTENT), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD TYPE EXTENT EXTENT), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD TYPE "RW 1 SPARSE \"a\"\n"), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD TYPE "RW 1 FLAT \"a\" 128\n"), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD TYPE "RW 1 FLAT a\n"), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD TYPE "parentCID=12345678\n" EXTENT), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD "createType=\"seSparse\"\n" EXTENT), -EINVAL);
	ATF_CHECK_EQ(parse(HEAD "CID=zz\n" TYPE EXTENT), -EINVAL);
	ATF_CHECK_EQ(parse("KDMV"), -EINVAL);
}

ATF_TC_WITHOUT_HEAD(flat_name_follows_the_descriptor);
ATF_TC_BODY(flat_name_follows_the_descriptor, tc)
{
	char buf[16];

	ATF_REQUIRE_EQ(vmdk_flat_name("vm.vmdk", buf, sizeof(buf)), 0);
	ATF_CHECK_STREQ(buf, "vm-flat.vmdk");
	ATF_CHECK_EQ(vmdk_flat_name("vm.vmdk", buf, 12), -ENAMETOOLONG);
	ATF_CHECK_EQ(vmdk_flat_name("vm.raw", buf, sizeof(buf)), -EINVAL);
	ATF_CHECK_EQ(vmdk_flat_name(".vmdk", buf, sizeof(buf)), -EINVAL);
}

ATF_TP_ADD_TCS(tp)
{
	ATF_TP_ADD_TC(tp, what_is_written_is_read);
	ATF_TP_ADD_TC(tp, unwritable_values_are_refused);
	ATF_TP_ADD_TC(tp, descriptor_of_another_program_is_read);
	ATF_TP_ADD_TC(tp, what_cannot_be_served_is_refused);
	ATF_TP_ADD_TC(tp, flat_name_follows_the_descriptor);
	return atf_no_error();
}
