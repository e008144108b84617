/* SPDX-License-Identifier: BSD-2-Clause */
/* Intrusive doubly linked list; the head is a node of its own. */
#ifndef VMFS_BASE_LIST_H
#define VMFS_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) { &(name), &(name) }
#define container_of(ptr, type, member)					\
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))
#define list_entry(node, type, member) container_of(node, type, member)
/* The loop body may unlink `node`. */
#define list_for_each(node, tmp, head)					\
	for (struct list *node = (head)->next, *tmp = node->next;	\
	    node != (head); node = tmp, tmp = node->next)

static inline void
list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool
list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void
list_add_tail(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

static inline void
list_add(struct list *head, struct list *node)
{
	list_add_tail(head->next, node);
}

/* The node is initialised again, so that a second call does no harm. */
static inline void
list_del(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* First node unlinked, or NULL. */
static inline struct list *
list_pop(struct list *head)
{
	struct list *node = head->next;

	if (node == head)
		return NULL;
	list_del(node);
	return node;
}

#endif
