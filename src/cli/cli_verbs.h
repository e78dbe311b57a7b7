/* SPDX-License-Identifier: Apache-2.0 */
/* cli_verbs.h - commands of several verbs, as `enxame scale fit`.
 *
 * Layer: cli.  Thread-safety: no shared state.
 */
#ifndef ENX_CLI_CLI_VERBS_H
#define ENX_CLI_CLI_VERBS_H

typedef struct cli_verb {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the verb */
    const char *about;
} cli_verb;

typedef struct cli_verbs {
    const char     *command; /* "scale" */
    const char     *usage;   /* what follows the command */
    const char     *note;    /* a paragraph below the list; may be NULL */
    const char     *example;
    const cli_verb *items;
    int             count;
} cli_verbs;

/* Run the verb argv[1], or print what there is: on stdout when asked by --help, else on stderr with
 * the exit code of a bad command line. */
int cli_run_verb(const cli_verbs *verbs, int argc, char **argv);

#endif /* ENX_CLI_CLI_VERBS_H */
