#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "server/worker/cgroup.h"

#define ID "00000000000000000000000000000abc"

static struct cgroup_base base; /* Of our own, below the real one: without directories, none. */
static char *dirs[CGROUP_DIRS_MAX];
static size_t count;

static void set_up(void)
{
    count = 0;
    if (cgroup_base_find(&base) < 0) {
        printf("skipped: no control groups can be made here\n");
        return;
    }
    for (size_t i = 0; i < base.dir_count; i++) {
        char *below = mem_format("%s/cais-test-%d", base.dirs[i], (int)getpid());

        free(base.dirs[i]);
        base.dirs[i] = below;
        ck_assert_int_eq(mkdir(below, 0755), 0);
        if (base.unified) {
            char *control = mem_format("%s/cgroup.subtree_control", below);
            FILE *file = fopen(control, "we");

            ck_assert_ptr_nonnull(file);
            fputs("+cpu +memory", file);
            ck_assert_int_eq(fclose(file), 0);
            free(control);
        }
    }
}

static void tear_down(void)
{
    for (size_t i = 0; i < count; i++) {
        cgroup_remove(dirs[i]);
        free(dirs[i]);
    }
    for (size_t i = 0; i < base.dir_count; i++)
        rmdir(base.dirs[i]);
    cgroup_base_fini(&base);
}

static void make(uint32_t cpu, uint64_t memory_bytes)
{
    struct cgroup_limits limits = {.cpu = cpu, .cpu_weight = cpu, .memory_bytes = memory_bytes};

    ck_assert_int_eq(cgroup_make(&base, ID, &limits, dirs, &count), 0);
    ck_assert_uint_eq(count, base.dir_count);
}

static void check_file(const char *dir, const char *name, const char *expected)
{
    char *path = mem_format("%s/%s", dir, name);
    FILE *file = fopen(path, "re");
    char text[64] = "";

    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(text, sizeof text, file));
    text[strcspn(text, "\n")] = '\0';
    ck_assert_str_eq(text, expected);
    fclose(file);
    free(path);
}

START_TEST(limits_are_what_the_kernel_was_told)
{
    if (!base.dir_count)
        return;
    make(512, 16 << 20);
    if (base.unified) {
        check_file(dirs[0], "cpu.max", "50000 100000");
        check_file(dirs[0], "memory.max", "16777216");
    } else {
        check_file(dirs[0], "cpu.cfs_quota_us", "50000");
        check_file(dirs[0], "cpu.shares", "512");
        check_file(dirs[1], "memory.limit_in_bytes", "16777216");
    }
}
END_TEST

START_TEST(a_limit_too_small_for_the_kernel_is_its_least)
{
    if (!base.dir_count)
        return;
    make(1, 0);
    if (base.unified)
        check_file(dirs[0], "cpu.max", "1000 100000");
    else
        check_file(dirs[0], "cpu.cfs_quota_us", "1000");
}
END_TEST

/* A child that is in the groups. */
static pid_t join(void)
{
    int ready[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < count; i++)
            if (cgroup_join(dirs[i]) < 0)
                _exit(1);
        if (write(ready[1], "r", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(ready[1]);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

START_TEST(a_group_with_a_process_stays_until_that_is_killed)
{
    int status;
    pid_t pid;

    if (!base.dir_count)
        return;
    make(1024, 0);
    pid = join();
    ck_assert_int_eq(cgroup_remove(dirs[0]), -EBUSY);
    ck_assert_uint_eq(cgroup_sweep(&base, 0), 0);
    ck_assert_uint_eq(cgroup_kill(dirs[0]), 1);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(WTERMSIG(status), SIGKILL);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(cgroup_remove(dirs[i]), 0);
    ck_assert_int_eq(cgroup_remove(dirs[0]), 0); /* Gone already: fine. */
}
END_TEST

START_TEST(only_old_empty_groups_are_swept)
{
    if (!base.dir_count)
        return;
    make(1024, 0);
    ck_assert_uint_eq(cgroup_sweep(&base, 3600), 0);
    ck_assert_int_eq(access(dirs[0], F_OK), 0);
    ck_assert_uint_eq(cgroup_sweep(&base, 0), count);
    ck_assert_int_eq(access(dirs[0], F_OK), -1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("worker");
    TCase *tc = tcase_create("cgroup");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, limits_are_what_the_kernel_was_told);
    tcase_add_test(tc, a_limit_too_small_for_the_kernel_is_its_least);
    tcase_add_test(tc, a_group_with_a_process_stays_until_that_is_killed);
    tcase_add_test(tc, only_old_empty_groups_are_swept);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
