#include "server/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/base/must.h"

enum { GAP = 2 };

struct table {
    size_t columns;
    char **cells; /* The head is the first row. */
    size_t count;
};

static char *printable(const char *text)
{
    char *copy = mem_string(text && *text ? text : "-");

    for (char *c = copy; *c; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    }
    return copy;
}

void table_add(struct table *table, const char *text)
{
    table->cells = mem_resize(table->cells, table->count + 1, sizeof(char *));
    table->cells[table->count++] = printable(text);
}

void table_add_number(struct table *table, long long number)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", number);
    table_add(table, text);
}

struct table *table_new(const char *column, ...)
{
    struct table *table = mem_new(struct table);
    va_list args;

    va_start(args, column);
    for (; column; column = va_arg(args, const char *))
        table_add(table, column);
    va_end(args);
    table->columns = table->count;
    must(table->columns > 0);
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

/* Characters, not bytes: UTF-8's continuation bytes take no room. */
static size_t width(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t widest = 0;

    for (size_t i = column; i < table->count; i += table->columns) {
        size_t own = width(table->cells[i]);

        widest = own > widest ? own : widest;
    }
    return widest;
}

void table_print(const struct table *table, FILE *to)
{
    must(table->count % table->columns == 0);
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        size_t room = column_width(table, column) + GAP;

        fputs(table->cells[i], to);
        if (column + 1 == table->columns)
            fputc('\n', to);
        else
            fprintf(to, "%*s", (int)(room - width(table->cells[i])), "");
    }
}
