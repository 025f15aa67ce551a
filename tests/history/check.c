/*
 * `history_check FILE`: are the histories in it linearizable? One operation a line,
 *
 *     OBJECT write|read|add VALUE INVOKED RETURNED
 *
 * with times in one unit of one clock and `-` for RETURNED when the outcome is unknown; every
 * object is 0 at first. Prints what was found of each object that is not, and counts; exits 0
 * only if all are.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"
#include "tests/history/linear.h"

enum { STEPS_MAX = 20000000 };

struct line {
    char object[128];
    struct linear_op op;
    size_t number;
};

static int parse(const char *text, struct line *out)
{
    char kind[8], returned[24];

    if (sscanf(text, "%127s %7s %" SCNu64 " %" SCNu64 " %23s", out->object, kind, &out->op.value,
               &out->op.invoked, returned) != 5)
        return -1;
    out->op.returned = strcmp(returned, "-") == 0 ? LINEAR_UNKNOWN : strtoull(returned, NULL, 10);
    out->op.kind = strcmp(kind, "write") == 0  ? LINEAR_WRITE
                   : strcmp(kind, "read") == 0 ? LINEAR_READ
                                               : LINEAR_ADD;
    if (out->op.kind == LINEAR_ADD && strcmp(kind, "add") != 0)
        return -1;
    return out->op.invoked < out->op.returned ? 0 : -1;
}

static int by_object(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int order = strcmp(x->object, y->object);

    return order ? order : (x->number > y->number) - (x->number < y->number);
}

static enum linear_verdict check(const struct line *lines, size_t count)
{
    struct linear_op *ops = mem_new_array(struct linear_op, count);
    enum linear_verdict verdict;
    size_t stuck = 0;

    for (size_t i = 0; i < count; i++)
        ops[i] = lines[i].op;
    verdict = linear_check(ops, count, 0, STEPS_MAX, &stuck);
    if (verdict == LINEAR_NO)
        printf("%s is not linearizable: stuck at line %zu\n", lines[0].object, lines[stuck].number);
    else if (verdict == LINEAR_UNDECIDED)
        printf("%s is undecided\n", lines[0].object);
    free(ops);
    return verdict;
}

static int check_all(struct line *lines, size_t count)
{
    size_t seen[3] = {0};

    if (count > 0)
        qsort(lines, count, sizeof *lines, by_object);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && strcmp(lines[next].object, lines[i].object) == 0;)
            next++;
        seen[check(lines + i, next - i)]++;
    }
    printf("operations: %zu\nobjects: %zu\nnot_linearizable: %zu\nundecided: %zu\n", count,
           seen[0] + seen[1] + seen[2], seen[LINEAR_NO], seen[LINEAR_UNDECIDED]);
    return seen[LINEAR_NO] + seen[LINEAR_UNDECIDED] > 0;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "re") : NULL;
    struct line *lines = NULL;
    size_t count = 0, cap = 0;
    char text[256];
    int r;

    if (!file) {
        fprintf(stderr, "usage: history_check FILE\n");
        return 2;
    }
    while (fgets(text, sizeof text, file)) {
        if (count == cap)
            lines = mem_resize(lines, cap = cap ? cap * 2 : 1024, sizeof *lines);
        if (parse(text, &lines[count]) < 0) {
            fprintf(stderr, "history_check: line %zu makes no sense\n", count + 1);
            return 2;
        }
        lines[count].number = count + 1;
        count++;
    }
    fclose(file);
    r = check_all(lines, count);
    free(lines);
    return r;
}
