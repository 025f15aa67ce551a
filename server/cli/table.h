/*
 * A table for the terminal: a head, rows of text, columns as wide as their widest cell.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "proto/base/scope.h"

struct table;

/* A table with these columns, up to NULL. Copies. Gives. */
struct table *table_new(const char *column, ...) __attribute__((sentinel));
void table_free(struct table *table);

/* Add the next cell, row by row from the left. Copies; NULL and "" are shown as `-`. Bytes that
 * would move the cursor are shown as `?`. */
void table_add(struct table *table, const char *text);
void table_add_number(struct table *table, long long number);

/* Print it. The last row must be full. */
void table_print(const struct table *table, FILE *to);

SCOPED(struct table *, table_free);
