/* SPDX-License-Identifier: Apache-2.0 */
/* cli_verbs.c - commands of several verbs. */
#include "cli/cli_verbs.h"

#include "base/check.h"
#include "base/nearest.h"
#include "base/status.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { VERBS_MAX = 16 };

static void print_verbs(const cli_verbs *verbs, FILE *out)
{
    int width = 0;
    for (int i = 0; i < verbs->count; i++) {
        const int length = (int)strlen(verbs->items[i].name);
        if (length > width) width = length;
    }
    fprintf(out, "Usage: enxame %s %s\n\n", verbs->command, verbs->usage);
    for (int i = 0; i < verbs->count; i++)
        fprintf(out, "  %-*s %s\n", width, verbs->items[i].name, verbs->items[i].about);
    if (verbs->note) fprintf(out, "\n%s\n", verbs->note);
    fprintf(out, "\nExample: %s\n", verbs->example);
}

static void print_unknown(const cli_verbs *verbs, const char *word)
{
    const char *names[VERBS_MAX];
    for (int i = 0; i < verbs->count; i++) names[i] = verbs->items[i].name;
    const char *near = enx_nearest(word, names, (size_t)verbs->count);
    fprintf(stderr, "enxame %s: cannot \"%s\"%s%s%s\n", verbs->command, word,
            near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

int cli_run_verb(const cli_verbs *verbs, int argc, char **argv)
{
    ENX_CHECK(verbs->count <= VERBS_MAX);
    const char *word = argc > 1 ? argv[1] : NULL;
    for (int i = 0; word && i < verbs->count; i++)
        if (strcmp(word, verbs->items[i].name) == 0) return verbs->items[i].run(argc - 1, argv + 1);
    const bool is_help = word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0);
    if (!word) fprintf(stderr, "enxame %s: say what to do\n", verbs->command);
    else if (!is_help) print_unknown(verbs, word);
    print_verbs(verbs, is_help ? stdout : stderr);
    return is_help ? 0 : enx_status_exit_code(ENX_INVALID);
}
