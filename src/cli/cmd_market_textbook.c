/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_market_textbook.c - enxame market textbook: markets that a pencil solves. */
#include "base/nearest.h"
#include "cli/cli.h"
#include "market/textbook.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enx_status find_book(enx_textbook_id *id, const char *name, enx_report *report)
{
    const char *names[ENX_TEXTBOOKS_COUNT];
    for (int i = 0; i < ENX_TEXTBOOKS_COUNT; i++) {
        names[i] = enx_textbooks[i].name;
        if (strcmp(name, names[i]) != 0) continue;
        *id = (enx_textbook_id)i;
        return ENX_OK;
    }
    const char *near = enx_nearest(name, names, ENX_TEXTBOOKS_COUNT);
    return ENX_FAIL(report, INVALID, "no such market%s%s%s; enxame market textbook lists them",
                    near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

/* "key=value" among a book's keys. */
static enx_status take_pair(double *given, const enx_textbook *book, const char *pair,
                            enx_report *report)
{
    const char *equals = strchr(pair, '=');
    char       *end = NULL;
    for (int i = 0; equals && i < ENX_TEXTBOOK_KEYS_MAX && book->keys[i].name; i++) {
        const size_t size = (size_t)(equals - pair);
        if (strlen(book->keys[i].name) != size || strncmp(book->keys[i].name, pair, size) != 0)
            continue;
        given[i] = strtod(equals + 1, &end);
        if (end != equals + 1 && *end == '\0') return ENX_OK;
        return ENX_FAIL(report, INVALID, "%s: not a number, %s", book->keys[i].name,
                        book->keys[i].unit);
    }
    return ENX_FAIL(report, INVALID, "%.60s: not KEY=VALUE of %s", pair, book->name);
}

static enx_status solve(double *values, enx_textbook_id *id, const cli_list *words,
                        enx_report *report)
{
    double given[ENX_TEXTBOOK_KEYS_MAX];
    ENX_TRY(find_book(id, words->items[0], report));
    const enx_textbook *book = &enx_textbooks[*id];
    for (int i = 0; i < ENX_TEXTBOOK_KEYS_MAX; i++) given[i] = NAN;
    for (size_t i = 1; i < words->count; i++)
        ENX_TRY(take_pair(given, book, words->items[i], report));
    for (int i = 0; i < ENX_TEXTBOOK_KEYS_MAX && book->keys[i].name; i++)
        if (isnan(given[i]))
            return ENX_FAIL(report, INVALID, "%s: is missing; %s, from %g to %g",
                            book->keys[i].name, book->keys[i].unit, book->keys[i].low,
                            book->keys[i].high);
    return enx_textbook_solve(values, *id, given, report);
}

static void print_books(void)
{
    for (int b = 0; b < ENX_TEXTBOOKS_COUNT; b++) {
        const enx_textbook *book = &enx_textbooks[b];
        printf("%s: %s\n", book->name, book->about);
        for (int i = 0; i < ENX_TEXTBOOK_KEYS_MAX && book->keys[i].name; i++)
            printf("    %-10s %s, from %g to %g\n", book->keys[i].name, book->keys[i].unit,
                   book->keys[i].low, book->keys[i].high);
    }
}

static void print_values(const enx_textbook *book, const double *values, bool is_json)
{
    json_t *out = json_object();
    for (int i = 0; i < ENX_TEXTBOOK_VALUES_MAX && book->values[i]; i++) {
        json_object_set_new(out, book->values[i], json_real(values[i]));
        if (!is_json) printf("%s = %.10g\n", book->values[i], values[i]);
    }
    if (is_json) cli_print_json_exact(json_incref(out));
    json_decref(out);
}

int cmd_market_textbook(int argc, char **argv)
{
    const cli_spec  spec = { "market textbook [MARKET KEY=VALUE...]",
                             "Markets that a pencil solves, to hold the others against; without a "
                              "market, a list of them.",
                             "enxame market textbook salop t=4 L=100 F=1",
                             NULL,
                             0,
                             0,
                             1 + ENX_TEXTBOOK_KEYS_MAX };
    cli_args        args;
    enx_report      report = { 0 };
    enx_textbook_id id = ENX_TEXTBOOKS_COUNT;
    double          values[ENX_TEXTBOOK_VALUES_MAX];
    enx_status      status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK && args.operands.count == 0) {
        print_books();
        return 0;
    }
    if (status == ENX_OK) status = solve(values, &id, &args.operands, &report);
    if (status != ENX_OK) return cli_fail("market textbook", &args, status, &report);
    print_values(&enx_textbooks[id], values, args.is_json);
    return 0;
}
