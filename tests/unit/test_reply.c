/* SPDX-License-Identifier: Apache-2.0 */
/* test_reply.c - between who makes a response and who sends it: no byte and no wake is lost. */
#include "base/mem.h"
#include "serve/reply.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct sender {
    pthread_mutex_t lock;
    pthread_cond_t  news;
    int             wakes, sleeps, rooms;
    bool            is_awake, is_gone;
} sender;

static sender open_sender(void)
{
    return (sender){ .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER };
}

static void on_wake(void *user)
{
    sender *s = user;
    pthread_mutex_lock(&s->lock);
    s->wakes++;
    s->is_awake = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
}

static void on_sleep(void *user)
{
    sender *s = user;
    pthread_mutex_lock(&s->lock);
    s->sleeps++;
    s->is_awake = false;
    pthread_mutex_unlock(&s->lock);
}

static void on_room(void *user) { ((sender *)user)->rooms++; }

static bool probe(void *user) { return ((sender *)user)->is_gone; }

static void a_whole_reply_is_there_when_it_has_ended(void **state)
{
    sender     s = open_sender();
    enx_reply *r = enx_reply_open();
    size_t     size = 0;
    (void)state;
    enx_reply_on_news(r, on_wake, probe, &s);
    assert_int_equal(enx_reply_poll(r, on_sleep, &s), ENX_REPLY_WAITS);
    enx_reply_begin(r, 201, "text/plain", false);
    assert_true(enx_reply_push(r, "abc", 3));
    assert_int_equal(s.wakes, 0);
    enx_reply_end(r);
    assert_int_equal(s.wakes, 1);
    assert_int_equal(enx_reply_poll(r, on_sleep, &s), ENX_REPLY_WHOLE);
    assert_int_equal(enx_reply_status(r), 201);
    char *bytes = enx_reply_take_whole(r, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(bytes, "abc", 3);
    enx_mem_free(bytes);
    enx_reply_drop(&r);
}

static void a_stream_sleeps_where_nothing_is_and_wakes_once(void **state)
{
    sender     s = open_sender();
    enx_reply *r = enx_reply_open();
    char       out[8];
    bool       is_end = true;
    (void)state;
    enx_reply_on_news(r, on_wake, probe, &s);
    enx_reply_begin(r, 200, "text/event-stream", true);
    assert_int_equal(enx_reply_poll(r, on_sleep, &s), ENX_REPLY_STREAM);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 0);
    assert_false(is_end);
    assert_int_equal(s.sleeps, 1);
    assert_true(enx_reply_push(r, "0123456789", 10));
    assert_true(enx_reply_push(r, "ab", 2));
    assert_int_equal(s.wakes, 1);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 8);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 4);
    assert_memory_equal(out, "89ab", 4);
    enx_reply_end(r);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 0);
    assert_true(is_end);
    assert_int_equal(s.sleeps, 1);
    enx_reply_drop(&r);
}

static void what_gathers_wakes_by_a_flush_or_when_it_is_much(void **state)
{
    sender      s = open_sender();
    enx_reply  *r = enx_reply_open();
    static char much[ENX_REPLY_FULL_BYTES / 2], out[ENX_REPLY_FULL_BYTES];
    bool        is_end = true;
    (void)state;
    enx_reply_on_news(r, on_wake, probe, &s);
    enx_reply_begin(r, 200, "text/event-stream", true);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 0);
    enx_reply_flush(r); /* nothing to send */
    assert_true(enx_reply_gather(r, "ab", 2) && enx_reply_gather(r, "c", 1));
    assert_int_equal(s.wakes, 0);
    enx_reply_flush(r);
    assert_int_equal(s.wakes, 1);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 3);
    assert_memory_equal(out, "abc", 3);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 0);
    assert_true(enx_reply_gather(r, much, sizeof much)); /* long before it is full */
    assert_int_equal(s.wakes, 2);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), sizeof much);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 0);
    assert_true(enx_reply_gather(r, "d", 1));
    enx_reply_end(r);
    assert_int_equal(s.wakes, 3);
    assert_int_equal(enx_reply_take(r, out, sizeof out, &is_end, on_sleep, &s), 1);
    enx_reply_drop(&r);
}

static void a_full_queue_asks_for_a_pause_and_tells_when_there_is_room(void **state)
{
    static char block[ENX_REPLY_FULL_BYTES];
    sender      s = open_sender();
    enx_reply  *r = enx_reply_open();
    bool        is_end = false;
    (void)state;
    enx_reply_on_news(r, on_wake, probe, &s);
    enx_reply_on_room(r, on_room, &s);
    enx_reply_begin(r, 200, "text/event-stream", true);
    assert_true(enx_reply_push(r, block, sizeof block));
    assert_false(enx_reply_is_full(r));
    assert_true(enx_reply_push(r, "x", 1));
    assert_true(enx_reply_is_full(r));
    assert_int_equal(enx_reply_take(r, block, 100, &is_end, on_sleep, &s), 100);
    assert_int_equal(s.rooms, 0);
    assert_int_equal(enx_reply_take(r, block, sizeof block, &is_end, on_sleep, &s),
                     sizeof block - 99);
    assert_int_equal(s.rooms, 1);
    assert_false(enx_reply_is_full(r));
    enx_reply_drop(&r);
}

static void a_client_that_leaves_takes_nothing_more(void **state)
{
    sender     s = open_sender();
    enx_reply *r = enx_reply_open();
    (void)state;
    enx_reply_on_news(r, on_wake, probe, &s);
    enx_reply_on_room(r, on_room, &s);
    assert_int_equal(enx_reply_poll(r, on_sleep, &s), ENX_REPLY_WAITS);
    assert_false(enx_reply_is_gone(r));
    s.is_gone = true;
    assert_true(enx_reply_is_gone(r));
    s.is_gone = false;
    enx_reply *maker = enx_reply_hold(r);
    enx_reply_leave(r);
    enx_reply_drop(&r);
    assert_int_equal(s.rooms, 1);
    assert_true(enx_reply_is_gone(maker));
    assert_false(enx_reply_push(maker, "x", 1));
    enx_reply_end(maker);
    assert_int_equal(s.wakes, 0);
    enx_reply_drop(&maker);
}

static void headers_are_kept_once_and_bounded(void **state)
{
    char        large[ENX_REPLY_HEADER_BYTES_MAX];
    enx_reply  *r = enx_reply_open();
    const char *value = NULL;
    (void)state;
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    enx_reply_set_header(r, "A", large);
    enx_reply_set_header(r, "B", "1");
    enx_reply_set_header(r, "B", "2");
    enx_reply_set_header(r, "C", "3");
    assert_int_equal(enx_reply_header_count(r), 2);
    assert_string_equal(enx_reply_header(r, 0, &value), "B");
    assert_string_equal(value, "1");
    assert_string_equal(enx_reply_header(r, 1, &value), "C");
    assert_string_equal(value, "3");
    enx_reply_drop(&r);
}

enum { ROUNDS = 20000 };

static void *make(void *user)
{
    enx_reply *r = user;
    enx_reply_begin(r, 200, "text/event-stream", true);
    for (uint32_t i = 0; i < ROUNDS; i++) assert_true(enx_reply_push(r, (char *)&i, sizeof i));
    enx_reply_end(r);
    enx_reply_drop(&r);
    return NULL;
}

static void every_byte_arrives_in_order_between_two_threads(void **state)
{
    sender     s = open_sender();
    enx_reply *r = enx_reply_open();
    pthread_t  maker;
    uint32_t   next = 0, number;
    bool       is_end = false;
    (void)state;
    enx_reply_on_news(r, on_wake, NULL, &s);
    assert_int_equal(pthread_create(&maker, NULL, make, enx_reply_hold(r)), 0);
    while (enx_reply_poll(r, on_sleep, &s) == ENX_REPLY_WAITS) {
        pthread_mutex_lock(&s.lock);
        while (!s.is_awake) pthread_cond_wait(&s.news, &s.lock);
        pthread_mutex_unlock(&s.lock);
    }
    while (!is_end) {
        const size_t size =
            enx_reply_take(r, (char *)&number, sizeof number, &is_end, on_sleep, &s);
        if (size == sizeof number) assert_int_equal(number, next++);
        else if (!is_end) {
            pthread_mutex_lock(&s.lock);
            while (!s.is_awake) pthread_cond_wait(&s.news, &s.lock);
            pthread_mutex_unlock(&s.lock);
        }
    }
    assert_int_equal(next, ROUNDS);
    pthread_join(maker, NULL);
    enx_reply_drop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_reply_is_there_when_it_has_ended),
        cmocka_unit_test(a_stream_sleeps_where_nothing_is_and_wakes_once),
        cmocka_unit_test(what_gathers_wakes_by_a_flush_or_when_it_is_much),
        cmocka_unit_test(a_full_queue_asks_for_a_pause_and_tells_when_there_is_room),
        cmocka_unit_test(a_client_that_leaves_takes_nothing_more),
        cmocka_unit_test(headers_are_kept_once_and_bounded),
        cmocka_unit_test(every_byte_arrives_in_order_between_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
