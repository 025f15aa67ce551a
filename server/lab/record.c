#include "server/lab/record.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"

enum { VERSION = 1 };

struct record *record_new(const struct layout_options *options)
{
    struct record *record = mem_new(struct record);

    record->options = *options;
    record->node_count = options->managers + options->workers;
    record->nodes = mem_new_array(struct proc, record->node_count);
    return record;
}

void record_free(struct record *record)
{
    if (!record)
        return;
    free(record->nodes);
    free(record);
}

/* ---- saving */

static json_t *proc_json(const struct proc *proc)
{
    return json_pack("{s:I, s:I}", "pid", (json_int_t)proc->pid, "start_time",
                     (json_int_t)proc->start_time);
}

static json_t *record_json(const struct record *record)
{
    const struct layout_options *o = &record->options;
    json_t *nodes = json_array();

    for (size_t i = 0; i < record->node_count; i++)
        json_array_append_new(nodes, proc_json(&record->nodes[i]));
    return json_pack("{s:i, s:{s:i, s:i, s:i, s:s, s:s, s:i, s:s, s:s}, s:o, s:o}", "version",
                     VERSION, "options", "managers", (int)o->managers, "zones", (int)o->zones,
                     "workers", (int)o->workers, "runtime", o->runtime, "api_host", o->api_host,
                     "api_port", (int)o->api_port, "region", o->region, "account", o->account,
                     "daemon", proc_json(&record->daemon), "nodes", nodes);
}

static int write_file(const char *path, const json_t *json)
{
    FILE *file = fopen(path, "we");
    int r = 0;

    if (!file)
        return err_new(-errno);
    if (json_dumpf(json, file, JSON_INDENT(1)) < 0 || fputc('\n', file) == EOF ||
        fflush(file) == EOF)
        r = errno ? -errno : -EIO;
    if (fclose(file) == EOF && r == 0)
        r = -errno;
    return err_new(r);
}

int record_save(const char *dir, const struct record *record)
{
    char *draft = mem_format("%s/.lab.json", dir);
    char *path = mem_format("%s/lab.json", dir);
    json_t *json = record_json(record);
    int r = write_file(draft, json);

    if (r == 0 && rename(draft, path) < 0)
        r = err_new(-errno);
    if (r < 0)
        unlink(draft);
    json_decref(json);
    free(draft);
    free(path);
    return err_up(r);
}

/* ---- loading */

static bool read_text(const json_t *from, const char *key, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(from, key));

    if (!text || strlen(text) >= size)
        return false;
    snprintf(out, size, "%s", text);
    return true;
}

static bool read_count(const json_t *from, const char *key, unsigned *out)
{
    const json_t *number = json_object_get(from, key);
    json_int_t value = json_integer_value(number);

    if (!json_is_integer(number) || value < 0 || value > UINT16_MAX)
        return false;
    *out = (unsigned)value;
    return true;
}

static bool read_options(const json_t *from, struct layout_options *out)
{
    char *problem;

    if (!read_count(from, "managers", &out->managers) || !read_count(from, "zones", &out->zones) ||
        !read_count(from, "workers", &out->workers) ||
        !read_count(from, "api_port", &out->api_port))
        return false;
    if (!read_text(from, "runtime", out->runtime, sizeof out->runtime) ||
        !read_text(from, "api_host", out->api_host, sizeof out->api_host) ||
        !read_text(from, "region", out->region, sizeof out->region) ||
        !read_text(from, "account", out->account, sizeof out->account))
        return false;
    problem = layout_problem(out);
    free(problem);
    return !problem;
}

static bool read_proc(const json_t *from, struct proc *out)
{
    const json_t *pid = json_object_get(from, "pid");
    const json_t *start_time = json_object_get(from, "start_time");

    if (!json_is_integer(pid) || !json_is_integer(start_time) || json_integer_value(pid) < 0 ||
        json_integer_value(pid) > INT32_MAX)
        return false;
    *out = (struct proc){(pid_t)json_integer_value(pid), (uint64_t)json_integer_value(start_time)};
    return true;
}

/* Gives; NULL if it is not what record_json() makes. */
static struct record *read_record(const json_t *json)
{
    scope(record_free) struct record *record = NULL;
    const json_t *nodes = json_object_get(json, "nodes");
    struct layout_options options = {0};

    if (json_integer_value(json_object_get(json, "version")) != VERSION ||
        !read_options(json_object_get(json, "options"), &options))
        return NULL;
    record = record_new(&options);
    if (!read_proc(json_object_get(json, "daemon"), &record->daemon) ||
        json_array_size(nodes) != record->node_count)
        return NULL;
    for (size_t i = 0; i < record->node_count; i++) {
        if (!read_proc(json_array_get(nodes, i), &record->nodes[i]))
            return NULL;
    }
    return steal(record);
}

int record_load(const char *dir, struct record **out)
{
    char *path = mem_format("%s/lab.json", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = -errno;
    struct record *record;
    json_t *json;

    free(path);
    if (fd < 0)
        return r == -ENOENT || r == -ENOTDIR ? RECORD_ABSENT : err_new(r);
    json = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
    close(fd);
    record = read_record(json);
    json_decref(json);
    if (!record)
        return RECORD_DAMAGED;
    *out = record;
    return 0;
}
