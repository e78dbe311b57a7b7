/* SPDX-License-Identifier: Apache-2.0 */
/* language.h - programs as text: how each language is compiled and run in the sandbox.
 *
 * A web page is a program of the language html: Chromium without a window loads it and runs it for
 * eight seconds of its own time, which may be less or more of ours.  The page as it is then comes
 * on stdout, its console on stderr among what Chromium says.  It gets at least 2 GiB of memory, 512
 * processes, 1024 open files and 256 MiB of files.
 *
 * Compiling is a run of its own, without the program's input; what it made goes into the next one
 * as a file.  Toolchains are those of Debian, at their fixed places below /usr.
 *
 * Layer: sandbox.  Thread-safety: no shared state.
 */
#ifndef ENX_SANDBOX_LANGUAGE_H
#define ENX_SANDBOX_LANGUAGE_H

#include "sandbox/sandbox.h"

typedef struct enx_language {
    const char *name;      /* "c", "python", "js", "sh", "sql", "html" */
    const char *extension; /* of file names, without the dot */
    const char *source;    /* name of the program's file in /work */
    const char *compiler;  /* path; NULL: nothing is compiled */
    const char *runner;    /* path; NULL: the compiled program runs by itself */
    const char *package;   /* Debian's, that has them */
} enx_language;

/* The known ones. */
const enx_language *enx_language_list(size_t *count);
/* By name, or by the extension of a file's name; NULL: not known. */
const enx_language *enx_language_find(const char *name);
const enx_language *enx_language_of_file(const char *path);

/* ENX_NOTFOUND: the report names the package to install. */
ENX_MUST_USE enx_status enx_language_check(const enx_language *language, enx_report *report);

typedef struct enx_program {
    const enx_language *language;
    const char         *text; /* borrowed, as all here */
    size_t              size_bytes;
    const char *const  *arguments;    /* for the program, NULL at the end; or NULL */
    bool                is_sanitized; /* C: with AddressSanitizer and UndefinedBehaviorSanitizer */
} enx_program;

typedef enum enx_program_step { ENX_PROGRAM_COMPILE, ENX_PROGRAM_RUN } enx_program_step;

/* Limits of a compilation: 20 s, 1 GiB, 64 processes, 1 MiB of messages. */
enx_sandbox_limits enx_language_compile_limits(void);

/* Compile if there is something to, and run.  *step: what `out` is the result of; a compilation
 * that fails is the last step.  `task` has files, input, limits and stop of the run; its argv, env
 * and is_sparse_address are not read, and no file may be named as the program.  `sql` gets no
 * stdin. Errors as enx_sandbox_run and enx_language_check. */
ENX_MUST_USE enx_status enx_program_run(const enx_sandbox *sandbox, const enx_program *program,
                                        const enx_sandbox_task *task, enx_sandbox_result *out,
                                        enx_program_step *step, enx_report *report);

/* The two steps apart, for a program that runs more than once: compile it, then start what was made
 * for each task.  *is_built false: `made` is the result of a compilation that failed; otherwise
 * hand it to every start, and release it by enx_sandbox_result_deinit in either case. */
ENX_MUST_USE enx_status enx_program_build(const enx_sandbox *sandbox, const enx_program *program,
                                          const enx_sandbox_task *task, enx_sandbox_result *made,
                                          bool *is_built, enx_report *report);
ENX_MUST_USE enx_status enx_program_start(const enx_sandbox *sandbox, const enx_program *program,
                                          const enx_sandbox_result *made,
                                          const enx_sandbox_task *task, enx_sandbox_result *out,
                                          enx_report *report);

#endif /* ENX_SANDBOX_LANGUAGE_H */
