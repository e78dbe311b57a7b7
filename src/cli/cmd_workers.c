/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_workers.c - enxame workers: who works for a swarm, and what waits. */
#include "backend/crew.h"
#include "cli/cli.h"
#include "cli/cli_broker.h"

#include <stdio.h>
#include <string.h>

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

static void print_crew(const json_t *crew)
{
    size_t  i;
    json_t *m;
    print_workers(json_object_get(crew, "workers"));
    printf("\n%-28s %-20s %8s %8s\n", "model", "digest", "waiting", "running");
    json_array_foreach (json_object_get(crew, "models"), i, m) {
        print_text(m, "name", 28);
        putchar(' ');
        print_text(m, "digest", 20);
        printf(" %8lld %8lld\n", number(m, "waiting"), number(m, "running"));
    }
    json_array_foreach (json_object_get(crew, "barred"), i, m) {
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
    enx_broker    *open = NULL;
    json_t        *crew = NULL;
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = cli_broker_open(&open, &broker, &report);
    if (status == ENX_OK) status = enx_crew_look(open, &crew, &report);
    enx_broker_close(&open);
    if (status == ENX_OK && args.is_json) cli_print_json(json_incref(crew));
    else if (status == ENX_OK) print_crew(crew);
    json_decref(crew);
    return status == ENX_OK ? 0 : cli_fail("workers", &args, status, &report);
}
