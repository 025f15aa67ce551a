#include "server/worker/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/arn.h"
#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "server/worker/release.h"

enum {
    CPU_UNITS = 1024,      /* A core. */
    PERIOD_US = 100000,    /* The kernel's default. */
    QUOTA_LEAST_US = 1000, /* The kernel takes no less. */
    SHARES_LEAST = 2,      /* Version 1: 2..262144, 1024 the default. */
    WEIGHT_MOST = 10000,   /* Version 2: 1..10000, 100 the default. */
    LINE_BYTES = 4096,
};

static void stream_end(FILE *file)
{
    if (file)
        fclose(file);
}
SCOPED(FILE *, stream_end);

/* ---- files of a group */

static int write_text(const char *dir, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int write_text(const char *dir, const char *name, const char *format, ...)
{
    scope(text_free) char *path = mem_format("%s/%s", dir, name);
    scope(file_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    va_list args;
    int n;

    if (fd < 0)
        return err_new(-errno);
    va_start(args, format);
    n = vdprintf(fd, format, args);
    va_end(args);
    return n < 0 ? err_new(-errno) : 0;
}

static FILE *open_text(const char *dir, const char *name)
{
    scope(text_free) char *path = mem_format("%s/%s", dir, name);

    return fopen(path, "re");
}

/* The number after a word at the start of a line; 0 if there is none. */
static uint64_t read_number(const char *dir, const char *name, const char *word)
{
    scope(stream_end) FILE *file = open_text(dir, name);
    char line[LINE_BYTES];
    uint64_t value = 0;
    size_t len = strlen(word);

    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, word, len) && line[len] == ' ')
            value = strtoull(line + len, NULL, 10);
    return value;
}

/* ---- where groups can be made */

/* Whether a comma-separated list holds a word. */
static bool lists(const char *list, const char *word)
{
    size_t len = strlen(word);

    for (const char *at = list; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (!strncmp(at, word, len) && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return false;
}

/* The group this process is in, as the line "N:CONTROLLERS:PATH" of /proc/self/cgroup says;
 * controller "" is version 2. Gives, or NULL. */
static char *own_group(const char *controller)
{
    scope(stream_end) FILE *file = fopen("/proc/self/cgroup", "re");
    char line[LINE_BYTES];

    while (file && fgets(line, sizeof line, file)) {
        char *list = strchr(line, ':');
        char *path = list ? strchr(list + 1, ':') : NULL;

        if (!path)
            continue;
        *path++ = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (*controller ? lists(list + 1, controller) : list[1] == '\0')
            return mem_string(path);
    }
    return NULL;
}

/* A line of /proc/self/mountinfo, cut in place: "36 35 98:0 ROOT POINT OPTIONS ... - TYPE SOURCE
 * SUPER". */
struct mount {
    char *root, *point, *type, *super;
};

static bool mount_parse(char *line, struct mount *out)
{
    char *rest = strstr(line, " - ");
    char *save = NULL, *field;

    if (!rest)
        return false;
    *rest = '\0';
    field = strtok_r(line, " ", &save);
    for (int i = 1; field && i < 4; i++)
        field = strtok_r(NULL, " ", &save);
    out->root = field;
    out->point = strtok_r(NULL, " ", &save);
    out->type = strtok_r(rest + 3, " \n", &save);
    strtok_r(NULL, " \n", &save);
    out->super = strtok_r(NULL, " \n", &save);
    return out->root && out->point && out->type && out->super;
}

/* Where a controller is mounted, and our own group below that. Gives both; -ENOENT. */
static int find_controller(const char *controller, char **out_point, char **out_own)
{
    scope(stream_end) FILE *file = fopen("/proc/self/mountinfo", "re");
    scope(text_free) char *group = own_group(controller);
    char line[LINE_BYTES];

    while (file && group && fgets(line, sizeof line, file)) {
        struct mount mount;
        const char *below = group;

        if (!mount_parse(line, &mount))
            continue;
        if (*controller ? strcmp(mount.type, "cgroup") || !lists(mount.super, controller)
                        : strcmp(mount.type, "cgroup2"))
            continue;
        if (strcmp(mount.root, "/") && !strncmp(group, mount.root, strlen(mount.root)))
            below += strlen(mount.root);
        *out_point = mem_string(mount.point);
        *out_own = mem_format("%s%s", mount.point, strcmp(below, "/") ? below : "");
        return 0;
    }
    return err_new(-ENOENT);
}

/* Making a group and removing it again is the only honest test. */
static int try_base(const char *dir)
{
    scope(text_free) char *path = mem_format("%s/cais-try-%d", dir, (int)getpid());

    if (mkdir(path, 0755) < 0)
        return err_new(-errno);
    if (rmdir(path) < 0)
        return err_new(-errno);
    return 0;
}

static int find_version_1(struct cgroup_base *out)
{
    static const char *const controllers[] = {"cpu", "memory"};

    for (size_t i = 0; i < CGROUP_DIRS_MAX; i++) {
        scope(text_free) char *point = NULL;
        int r = find_controller(controllers[i], &point, &out->dirs[i]);

        if (r < 0)
            return err_up(r);
        out->dir_count = i + 1;
        r = try_base(out->dirs[i]);
        if (r < 0)
            return err_up(r);
    }
    return 0;
}

static bool is_alone_in(const char *dir)
{
    scope(stream_end) FILE *file = open_text(dir, "cgroup.procs");
    long pid, other;

    return file && fscanf(file, "%ld", &pid) == 1 && pid == getpid() &&
           fscanf(file, "%ld", &other) != 1;
}

/* Let the groups below this one have cpu and memory limits. */
static int divide(const char *dir)
{
    scope(text_free) char *aside = mem_format("%s/cais-agent", dir);
    int r = write_text(dir, "cgroup.subtree_control", "+cpu +memory");

    if (r != -EBUSY || !is_alone_in(dir))
        return r < 0 ? err_up(r) : 0;
    if (mkdir(aside, 0755) < 0 && errno != EEXIST)
        return err_new(-errno);
    r = cgroup_join(aside);
    if (r < 0)
        return err_up(r);
    return err_up(write_text(dir, "cgroup.subtree_control", "+cpu +memory"));
}

static int find_version_2(struct cgroup_base *out)
{
    scope(text_free) char *point = NULL;
    scope(text_free) char *own = NULL;
    int r = find_controller("", &point, &own);

    if (r < 0)
        return err_up(r);
    r = divide(own);
    if (r < 0 && geteuid() == 0) {
        free(own);
        own = steal(point);
        r = divide(own);
    }
    if (r == 0)
        r = try_base(own);
    if (r < 0)
        return err_up(r);
    out->unified = true;
    out->dirs[0] = steal(own);
    out->dir_count = 1;
    return 0;
}

int cgroup_base_find(struct cgroup_base *out)
{
    int r;

    *out = (struct cgroup_base){0};
    r = find_version_1(out); /* A hybrid system has its controllers here. */
    if (r == -ENOENT) {
        cgroup_base_fini(out);
        r = find_version_2(out);
    }
    if (r < 0)
        cgroup_base_fini(out);
    return err_up(r);
}

void cgroup_base_fini(struct cgroup_base *base)
{
    for (size_t i = 0; i < CGROUP_DIRS_MAX; i++)
        free(base->dirs[i]);
    *base = (struct cgroup_base){0};
}

/* ---- a task's group */

static int64_t quota_us(uint32_t cpu)
{
    int64_t quota = (int64_t)cpu * PERIOD_US / CPU_UNITS;

    return quota < QUOTA_LEAST_US ? QUOTA_LEAST_US : quota;
}

static int limit_version_2(const char *dir, const struct cgroup_limits *limits)
{
    uint32_t weight = limits->cpu_weight * 100 / CPU_UNITS; /* As 1,024 shares are weight 100. */
    int r = 0;

    if (limits->cpu)
        r = write_text(dir, "cpu.max", "%ld %d", quota_us(limits->cpu), PERIOD_US);
    if (r == 0 && limits->cpu_weight)
        r = write_text(dir, "cpu.weight", "%u",
                       weight < 1             ? 1
                       : weight > WEIGHT_MOST ? WEIGHT_MOST
                                              : weight);
    if (r == 0 && limits->memory_bytes)
        r = write_text(dir, "memory.max", "%lu", limits->memory_bytes);
    return err_up(r);
}

static int limit_version_1(const char *cpu, const char *memory, const struct cgroup_limits *limits)
{
    int r = 0;

    if (limits->cpu)
        r = write_text(cpu, "cpu.cfs_quota_us", "%ld", quota_us(limits->cpu));
    if (r == 0 && limits->cpu_weight)
        r = write_text(cpu, "cpu.shares", "%u",
                       limits->cpu_weight < SHARES_LEAST ? SHARES_LEAST : limits->cpu_weight);
    if (r == 0 && limits->memory_bytes)
        r = write_text(memory, "memory.limit_in_bytes", "%lu", limits->memory_bytes);
    return err_up(r);
}

static int make_dirs(const struct cgroup_base *base, const char *task_id, char **dirs)
{
    for (size_t i = 0; i < base->dir_count; i++) {
        char *dir = mem_format("%s/cais-%s", base->dirs[i], task_id);

        if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
            free(dir);
            return err_new(-errno);
        }
        dirs[i] = dir;
    }
    return 0;
}

int cgroup_make(const struct cgroup_base *base, const char *task_id,
                const struct cgroup_limits *limits, char *out_dirs[CGROUP_DIRS_MAX],
                size_t *out_count)
{
    char *dirs[CGROUP_DIRS_MAX] = {0};
    int r;

    must(base->dir_count > 0);
    r = make_dirs(base, task_id, dirs);
    if (r == 0)
        r = base->unified ? limit_version_2(dirs[0], limits)
                          : limit_version_1(dirs[0], dirs[1], limits);
    if (r < 0) {
        for (size_t i = 0; i < CGROUP_DIRS_MAX; i++) {
            if (dirs[i])
                rmdir(dirs[i]);
            free(dirs[i]);
        }
        return err_up(r);
    }
    memcpy(out_dirs, dirs, sizeof dirs);
    *out_count = base->dir_count;
    return 0;
}

int cgroup_join(const char *dir)
{
    return err_up(write_text(dir, "cgroup.procs", "0"));
}

uint64_t cgroup_oom_kills(const char *dir)
{
    return read_number(dir, "memory.events", "oom_kill") +
           read_number(dir, "memory.oom_control", "oom_kill");
}

/* Nobody joins a group from outside, so what its list says belongs to the task; between reading
 * and opening a pid could change hands, so the list is read again. */
static bool is_member(const char *dir, long pid)
{
    scope(stream_end) FILE *file = open_text(dir, "cgroup.procs");
    long found;

    while (file && fscanf(file, "%ld", &found) == 1)
        if (found == pid)
            return true;
    return false;
}

size_t cgroup_kill(const char *dir)
{
    scope(stream_end) FILE *file = open_text(dir, "cgroup.procs");
    size_t count = 0;
    long pid;

    while (file && fscanf(file, "%ld", &pid) == 1) {
        scope(file_close) int fd = pidfd_open((pid_t)pid, 0);

        if (fd >= 0 && is_member(dir, pid) && pidfd_send_signal(fd, SIGKILL, NULL, 0) == 0)
            count++;
    }
    return count;
}

static bool is_old(int base_fd, const char *name, uint64_t older_than_s)
{
    struct stat st;

    return fstatat(base_fd, name, &st, 0) == 0 &&
           time(NULL) >= st.st_ctim.tv_sec + (time_t)older_than_s;
}

size_t cgroup_sweep(const struct cgroup_base *base, uint64_t older_than_s)
{
    size_t count = 0;

    for (size_t i = 0; i < base->dir_count; i++) {
        scope(folder_close) DIR *folder = opendir(base->dirs[i]);
        struct dirent *entry;

        while (folder && (entry = readdir(folder)))
            if (!strncmp(entry->d_name, "cais-", 5) && id_is_valid(entry->d_name + 5) &&
                is_old(dirfd(folder), entry->d_name, older_than_s) &&
                unlinkat(dirfd(folder), entry->d_name, AT_REMOVEDIR) == 0)
                count++;
    }
    return count;
}

int cgroup_remove(const char *dir)
{
    if (rmdir(dir) < 0 && errno != ENOENT)
        return err_new(-errno);
    return 0;
}
