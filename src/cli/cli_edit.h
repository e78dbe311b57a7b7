/* SPDX-License-Identifier: Apache-2.0 */
/* cli_edit.h - an existing tree of files, changed by a patch that passes the tree's own test.
 *
 *     cli_edit_open(&edit, "project", "make test", report);   // reads the tree
 *     cli_edit_judge(sandbox, edit, patch, ...);              // a copy, in the sandbox
 *     cli_edit_write(edit, patch, report);                    // all of its files, or none
 *
 * The tree is all regular files below the folder but those below .git; links are not followed.
 * Nothing is written before cli_edit_write, which first looks whether the files are still as they
 * were read.
 *
 * Layer: cli.  Thread-safety: immutable after open; may be shared.
 */
#ifndef ENX_CLI_CLI_EDIT_H
#define ENX_CLI_CLI_EDIT_H

#include "base/buf.h"
#include "sandbox/sandbox.h"

enum {
    CLI_EDIT_FILES_MAX = ENX_SANDBOX_FILES_MAX / 2,
    CLI_EDIT_BYTES_MAX = 32 << 20,       /* of all files */
    CLI_EDIT_SHOWN_BYTES_MAX = 24 << 10, /* of their texts, to the model */
};

typedef struct cli_edit cli_edit;

/* `command` is a line for /bin/sh, run in the copy's folder: exit code 0 accepts.  ENX_NOTFOUND: no
 * such folder · ENX_LIMIT: the tree is too large · ENX_IO, ENX_NOMEM. */
ENX_MUST_USE enx_status cli_edit_open(cli_edit **out, const char *folder, const char *command,
                                      enx_report *report);
void                    cli_edit_close(cli_edit **edit);

size_t cli_edit_file_count(const cli_edit *edit);

/* Append the first message: what to do, the names of all files, and texts of files, those first
 * that `what` names, then the shortest. */
ENX_MUST_USE enx_status cli_edit_ask(enx_buf *out, const cli_edit *edit, const char *what);

typedef struct cli_edit_run {
    enx_sandbox_limits limits;
    bool (*should_stop)(void *user);
    void *user;
} cli_edit_run;

/* Apply the patch to a copy and run the command.  As cli_code_judge; a patch that does not apply,
 * or leads outside, is a refusal with its reason in the log. */
ENX_MUST_USE enx_status cli_edit_judge(const enx_sandbox *sandbox, const cli_edit *edit,
                                       const char *patch, const cli_edit_run *run, bool *has_passed,
                                       enx_buf *log, enx_report *report);

/* Write what the patch changes into the folder.  ENX_AGAIN: a file there is not as it was read ·
 * ENX_IO.  Then, as far as the disk allows, every file is as it was. */
ENX_MUST_USE enx_status cli_edit_write(const cli_edit *edit, const char *patch, enx_report *report);

#endif /* ENX_CLI_CLI_EDIT_H */
