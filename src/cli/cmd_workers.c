/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_workers.c - enxame workers: who works for a swarm, and what waits. */
#include "backend/queue_wire.h"
#include "cli/cli.h"
#include "cli/cli_broker.h"

#include <stdio.h>
#include <string.h>

typedef struct listing {
    enx_broker *broker;
    json_t     *workers, *models, *barred;
} listing;

static const char *last_word(const char *subject)
{
    const char *dot = strrchr(subject, '.');
    return dot ? dot + 1 : subject;
}

/* A worker's own words: shown, never believed. */
static void take_worker(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    listing *l = user;
    json_t  *word = json_loadb(bytes, size_bytes, 0, NULL);
    if (!json_is_object(word)) {
        json_decref(word);
        return;
    }
    json_object_set_new(word, "worker",
                        cli_json_text(last_word(subject), strlen(last_word(subject))));
    json_array_append_new(l->workers, word);
}

static void take_model(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    listing *l = user;
    json_t  *word = json_loadb(bytes, size_bytes, 0, NULL);
    if (!json_is_object(word) || !enx_wire_is_digest(last_word(subject))) {
        json_decref(word);
        return;
    }
    json_object_set_new(word, "digest", json_string(last_word(subject)));
    json_array_append_new(l->models, word);
}

static void take_barred(void *user, const char *subject, const char *bytes, size_t size_bytes)
{
    listing    *l = user;
    const char *name = last_word(subject);
    json_array_append_new(l->barred,
                          json_pack("{s:o, s:o}", "worker", cli_json_text(name, strlen(name)),
                                    "state", cli_json_text(bytes, size_bytes)));
}

static enx_status take_depths(listing *l, enx_report *report)
{
    size_t  i;
    json_t *model;
    json_array_foreach (l->models, i, model) {
        uint64_t    waiting = 0, running = 0;
        const char *digest = json_string_value(json_object_get(model, "digest"));
        ENX_TRY(enx_broker_depth(l->broker, digest, &waiting, &running, report));
        json_object_set_new(model, "waiting", json_integer((json_int_t)waiting));
        json_object_set_new(model, "running", json_integer((json_int_t)running));
    }
    return ENX_OK;
}

static enx_status look(listing *l, enx_report *report)
{
    ENX_TRY(enx_broker_words(l->broker, "here", "here.>", take_worker, l, report));
    ENX_TRY(enx_broker_words(l->broker, "model", "model.>", take_model, l, report));
    ENX_TRY(enx_broker_words(l->broker, "model", "barred.>", take_barred, l, report));
    return take_depths(l, report);
}

/* ---- Printing ------------------------------------------------------------------------------- */

static void print_text(const json_t *object, const char *key, int width)
{
    const char *text = json_string_value(json_object_get(object, key));
    char        line[64];
    snprintf(line, sizeof line, "%-*.*s", width, width, text ? text : "?");
    cli_write_text(stdout, line, strlen(line));
}

static long long number(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

static void print_workers(const json_t *workers)
{
    size_t  i;
    json_t *w;
    printf("%-28s %-20s %6s %8s %9s %7s\n", "worker", "machine", "slots", "working", "answered",
           "models");
    json_array_foreach (workers, i, w) {
        print_text(w, "worker", 28);
        putchar(' ');
        print_text(w, "host", 20);
        printf(" %6lld %8lld %9lld %7zu%s\n", number(w, "slots"), number(w, "working"),
               number(w, "done"), json_array_size(json_object_get(w, "models")),
               json_is_true(json_object_get(w, "draining")) ? "  leaving"
               : json_is_true(json_object_get(w, "trial"))  ? "  on trial"
                                                            : "");
    }
    if (json_array_size(workers) == 0) printf("nobody; enxame worker --join URL\n");
}

static void print_listing(const listing *l)
{
    size_t  i;
    json_t *m;
    print_workers(l->workers);
    printf("\n%-28s %-20s %8s %8s\n", "model", "digest", "waiting", "running");
    json_array_foreach (l->models, i, m) {
        print_text(m, "name", 28);
        putchar(' ');
        print_text(m, "digest", 20);
        printf(" %8lld %8lld\n", number(m, "waiting"), number(m, "running"));
    }
    json_array_foreach (l->barred, i, m) {
        printf("%s", i == 0 ? "\n" : "");
        print_text(m, "worker", 28);
        printf(" is ");
        print_text(m, "state", 10);
        putchar('\n');
    }
}

int cmd_workers(int argc, char **argv)
{
    static cli_broker broker;
    const cli_option  list[] = {
         { "join", 'j', CLI_TEXT, (void *)&broker.url, "URL", "the broker, nats://host:4222" },
         CLI_BROKER_OPTIONS(broker),
    };
    const cli_spec spec = { "workers --join URL [options]",
                            "The machines that work for a swarm, and what waits in its queue.",
                            "enxame workers --join nats://lead.example.net:4222",
                            list,
                            sizeof list / sizeof *list,
                            0,
                            0 };
    cli_args       args;
    enx_report     report = { 0 };
    listing        l = { .workers = json_array(), .models = json_array(), .barred = json_array() };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    const bool     is_help = status == ENX_OK && args.is_help;
    if (status == ENX_OK && !is_help) status = cli_broker_open(&l.broker, &broker, &report);
    if (status == ENX_OK && !is_help) status = look(&l, &report);
    enx_broker_close(&l.broker);
    if (status == ENX_OK && !is_help && args.is_json)
        cli_print_json(json_pack("{s:O, s:O, s:O}", "workers", l.workers, "models", l.models,
                                 "barred", l.barred));
    else if (status == ENX_OK && !is_help) print_listing(&l);
    json_decref(l.workers);
    json_decref(l.models);
    json_decref(l.barred);
    return status == ENX_OK ? 0 : cli_fail("workers", &args, status, &report);
}
