#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/queue.h"

enum { PRODUCERS = 4, ITEMS = 2000, WAITING_MAX = 64 };

struct item {
    struct list link;
    int producer;
    int number;
};

static uv_loop_t loop;
static struct queue *queue;
static int taken, batches, closed;
static int next_number[PRODUCERS];
static struct item items[PRODUCERS][ITEMS];

static void took(void *context, struct list *head)
{
    ck_assert_ptr_eq(context, &loop);
    batches++;
    list_each (link, head) {
        struct item *item = list_entry(link, struct item, link);

        list_remove(link);
        ck_assert_int_eq(item->number, next_number[item->producer]);
        next_number[item->producer]++;
        taken++;
    }
    if (taken == PRODUCERS * ITEMS)
        queue_close(queue, NULL, NULL);
}

static void queue_closed(void *context)
{
    ck_assert_ptr_eq(context, &closed);
    closed++;
}

static void set_up(void)
{
    struct queue_config config = {.max = WAITING_MAX, .took = took, .context = &loop};

    taken = batches = closed = 0;
    memset(next_number, 0, sizeof next_number);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(queue_open(&loop, &config, &queue), 0);
}

static void tear_down(void)
{
    queue_free(queue);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void produce(void *mine)
{
    struct item *item = mine;

    for (int i = 0; i < ITEMS; i++) {
        item[i].number = i;
        while (!queue_push(queue, &item[i].link))
            sched_yield(); /* Full: the consumer is at it. */
    }
}

START_TEST(every_thread_arrives_whole_and_in_order)
{
    uv_thread_t threads[PRODUCERS];

    for (int i = 0; i < PRODUCERS; i++) {
        for (int k = 0; k < ITEMS; k++)
            items[i][k].producer = i;
        ck_assert_int_eq(uv_thread_create(&threads[i], produce, items[i]), 0);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < PRODUCERS; i++)
        uv_thread_join(&threads[i]);
    ck_assert_int_eq(taken, PRODUCERS * ITEMS);
}
END_TEST

START_TEST(a_full_queue_says_so_and_has_room_again_when_taken)
{
    struct item *item = items[0];

    for (int i = 0; i < WAITING_MAX; i++) {
        item[i].number = i;
        ck_assert(queue_push(queue, &item[i].link));
    }
    item[WAITING_MAX].number = WAITING_MAX;
    ck_assert(!queue_push(queue, &item[WAITING_MAX].link));
    uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(taken, WAITING_MAX);
    ck_assert_int_eq(batches, 1);
    ck_assert(queue_push(queue, &item[WAITING_MAX].link));
    uv_run(&loop, UV_RUN_ONCE);
    ck_assert_int_eq(taken, WAITING_MAX + 1);
    queue_close(queue, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
}
END_TEST

START_TEST(closing_drains_what_waits_and_refuses_the_rest)
{
    struct item *item = items[0];

    item[0].number = 0;
    ck_assert(queue_push(queue, &item[0].link));
    queue_close(queue, queue_closed, &closed);
    ck_assert_int_eq(taken, 0); /* Never from inside the owner's call. */
    ck_assert(!queue_push(queue, &item[1].link));
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(taken, 1);
    ck_assert_int_eq(closed, 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net");
    TCase *tc = tcase_create("queue");
    SRunner *sr;
    int failed;

    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, every_thread_arrives_whole_and_in_order);
    tcase_add_test(tc, a_full_queue_says_so_and_has_room_again_when_taken);
    tcase_add_test(tc, closing_drains_what_waits_and_refuses_the_rest);
    suite_add_tcase(s, tc);
    sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed != 0;
}
