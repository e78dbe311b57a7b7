/* SPDX-License-Identifier: Apache-2.0 */
/* language.c - the table of languages, and the two steps. */
#include "sandbox/language.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BINARY "program" /* what a compiler makes */

enum { WORDS_MAX = ENX_SANDBOX_ARGUMENTS_MAX + 1 };

static const enx_language languages[] = {
    { "c", "c", "main.c", "/usr/bin/gcc", NULL, "gcc and libc6-dev" },
    { "python", "py", "main.py", NULL, "/usr/bin/python3", "python3" },
    { "js", "js", "main.js", NULL, "/usr/bin/node", "nodejs" },
    { "sh", "sh", "main.sh", NULL, "/bin/sh", "dash" },
    { "sql", "sql", "main.sql", NULL, "/usr/bin/sqlite3", "sqlite3" },
    { "html", "html", "main.html", NULL, "/usr/lib/chromium/chromium", "chromium" },
};

/* Words between the runner's path and the program's own arguments, by the order above. */
static const char *const run_words[][12] = {
    { NULL },
    { "-B", "main.py", NULL },
    { "main.js", NULL },
    { "main.sh", NULL },
    { "-batch", "-bail", ":memory:", ".read main.sql", NULL },
    /* Its own sandbox needs privileges that programs in ours have not. */
    { "--headless=new", "--no-sandbox", "--no-zygote", "--disable-gpu", "--no-first-run",
      "--allow-file-access-from-files", "--user-data-dir=/tmp/chromium", "--enable-logging=stderr",
      "--virtual-time-budget=8000", "--dump-dom", "file:///work/main.html", NULL },
};

static const char *const compile_words[] = { "-std=gnu17", "-O1",  "-g",     "-Wall", "-Wextra",
                                             "-o",         BINARY, "main.c", NULL };
static const char *const sanitize_words[] = { "-fsanitize=address,undefined",
                                              "-fno-sanitize-recover=undefined",
                                              "-fno-omit-frame-pointer", NULL };

/* Finding leaks needs ptrace, which the sandbox has not. */
static const char *const sanitize_env[] = {
    "ASAN_OPTIONS=detect_leaks=0:disable_coredump=0:exitcode=99",
    "UBSAN_OPTIONS=print_stacktrace=1:exitcode=99", NULL
};

const enx_language *enx_language_list(size_t *count)
{
    *count = sizeof languages / sizeof *languages;
    return languages;
}

const enx_language *enx_language_find(const char *name)
{
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        if (strcmp(languages[i].name, name) == 0 || strcmp(languages[i].extension, name) == 0)
            return &languages[i];
    return NULL;
}

const enx_language *enx_language_of_file(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && !strchr(dot, '/') ? enx_language_find(dot + 1) : NULL;
}

enx_status enx_language_check(const enx_language *language, enx_report *report)
{
    const char *const tools[] = { language->compiler, language->runner };
    for (size_t i = 0; i < 2; i++)
        if (tools[i] && access(tools[i], X_OK) != 0)
            return ENX_FAIL(report, NOTFOUND, "no %s for programs in %s; install the package %s",
                            tools[i], language->name, language->package);
    return ENX_OK;
}

enx_sandbox_limits enx_language_compile_limits(void)
{
    enx_sandbox_limits limits = enx_sandbox_limits_default();
    limits.cpu_us = 20 * 1000000;
    limits.wall_us = 40 * 1000000;
    limits.memory_bytes = (uint64_t)1 << 30;
    limits.out_bytes = limits.file_bytes;
    return limits;
}

typedef struct words {
    const char *items[WORDS_MAX + 1];
    size_t      count;
} words;

static enx_status push(words *w, const char *const *more, enx_report *report)
{
    for (; more && *more; more++) {
        if (w->count == WORDS_MAX)
            return ENX_FAIL(report, INVALID, "too many arguments for the program; at most %d",
                            ENX_SANDBOX_ARGUMENTS_MAX);
        w->items[w->count++] = *more;
    }
    return ENX_OK;
}

static enx_status compile(const enx_sandbox *sandbox, const enx_program *program,
                          const enx_sandbox_task *task, const enx_sandbox_file *files,
                          size_t file_count, enx_sandbox_result *out, enx_report *report)
{
    words w = { .items = { program->language->compiler }, .count = 1 };
    ENX_TRY(push(&w, compile_words, report));
    if (program->is_sanitized) ENX_TRY(push(&w, sanitize_words, report));
    ENX_TRY(push(&w, (const char *const[]){ "-lm", NULL }, report));
    const enx_sandbox_task step = { .argv = w.items,
                                    .files = files,
                                    .file_count = file_count,
                                    .limits = enx_language_compile_limits(),
                                    .is_collecting = true,
                                    .should_stop = task->should_stop,
                                    .user = task->user };
    return enx_sandbox_run(sandbox, &step, out, report);
}

/* A browser is many processes, and large. */
static void widen_for_page(enx_sandbox_limits *limits)
{
    const enx_sandbox_limits least = { .memory_bytes = (uint64_t)2 << 30,
                                       .processes = 512,
                                       .open_files = 1024,
                                       .disk_bytes = 256 << 20 };
    if (limits->memory_bytes < least.memory_bytes) limits->memory_bytes = least.memory_bytes;
    if (limits->processes < least.processes) limits->processes = least.processes;
    if (limits->open_files < least.open_files) limits->open_files = least.open_files;
    if (limits->disk_bytes < least.disk_bytes) limits->disk_bytes = least.disk_bytes;
}

static enx_status run(const enx_sandbox *sandbox, const enx_program *program,
                      const enx_sandbox_task *task, const enx_sandbox_file *files,
                      size_t file_count, enx_sandbox_result *out, enx_report *report)
{
    const enx_language *language = program->language;
    const bool          is_node = strcmp(language->name, "js") == 0;
    const bool          is_page = strcmp(language->name, "html") == 0;
    enx_sandbox_task    step = *task;
    if (is_page && enx_sandbox_is_weak(sandbox))
        return ENX_FAIL(report, UNSUPPORTED, "web pages need the full sandbox, not the weaker one");
    char              heap[48];
    words             w = { .count = 0 };
    const char *const first[] = { language->runner ? language->runner : "./" BINARY, NULL };
    ENX_TRY(push(&w, first, report));
    if (is_node) { /* node sizes its heap by the machine's memory, not by ours */
        snprintf(heap, sizeof heap, "--max-old-space-size=%llu",
                 (unsigned long long)(task->limits.memory_bytes >> 20));
        ENX_TRY(push(&w, (const char *const[]){ heap, NULL }, report));
    }
    ENX_TRY(push(&w, run_words[language - languages], report));
    ENX_TRY(push(&w, program->arguments, report));
    step.argv = w.items;
    step.env = program->is_sanitized ? sanitize_env : NULL;
    step.is_sparse_address = program->is_sanitized || is_node || is_page;
    if (is_page) widen_for_page(&step.limits);
    step.files = files;
    step.file_count = file_count;
    return enx_sandbox_run(sandbox, &step, out, report);
}

/* The compiled program; NULL: there is none. */
static const enx_sandbox_file *find_binary(const enx_sandbox_result *made)
{
    if (made->exit_code != 0 || made->is_stopped) return NULL;
    for (size_t i = 0; i < made->file_count; i++)
        if (strcmp(made->files[i].name, BINARY) == 0) return &made->files[i];
    return NULL;
}

/* The task's files, the program's text, and room for one more; owned. */
static enx_status list_files(enx_sandbox_file **out, const enx_program *program,
                             const enx_sandbox_task *task, enx_report *report)
{
    const enx_language *language = program->language;
    ENX_CHECK(language >= languages && language < languages + sizeof languages / sizeof *languages);
    ENX_TRY(enx_language_check(language, report));
    enx_sandbox_file *files = ENX_MEM_NEW(enx_sandbox_file, task->file_count + 2);
    if (!files) return ENX_FAIL(report, NOMEM, "no memory for %zu files", task->file_count);
    if (task->file_count) memcpy(files, task->files, task->file_count * sizeof *files);
    files[task->file_count] = (enx_sandbox_file){ .name = language->source,
                                                  .bytes = program->text,
                                                  .size_bytes = program->size_bytes };
    *out = files;
    return ENX_OK;
}

enx_status enx_program_build(const enx_sandbox *sandbox, const enx_program *program,
                             const enx_sandbox_task *task, enx_sandbox_result *made, bool *is_built,
                             enx_report *report)
{
    enx_sandbox_file *files;
    enx_status        status = ENX_OK;
    ENX_TRY(list_files(&files, program, task, report));
    *made = (enx_sandbox_result){ 0 };
    if (program->language->compiler)
        status = compile(sandbox, program, task, files, task->file_count + 1, made, report);
    *is_built = status == ENX_OK && (!program->language->compiler || find_binary(made));
    enx_mem_free(files);
    return status;
}

enx_status enx_program_start(const enx_sandbox *sandbox, const enx_program *program,
                             const enx_sandbox_result *made, const enx_sandbox_task *task,
                             enx_sandbox_result *out, enx_report *report)
{
    const enx_sandbox_file *binary = find_binary(made);
    enx_sandbox_file       *files;
    ENX_TRY(list_files(&files, program, task, report));
    size_t count = task->file_count + 1;
    if (program->language->compiler) {
        files[count] = *binary;
        files[count++].is_executable = true; /* weak runs have no chmod for the linker */
    }
    const enx_status status = run(sandbox, program, task, files, count, out, report);
    enx_mem_free(files);
    return status;
}

enx_status enx_program_run(const enx_sandbox *sandbox, const enx_program *program,
                           const enx_sandbox_task *task, enx_sandbox_result *out,
                           enx_program_step *step, enx_report *report)
{
    enx_sandbox_result made;
    bool               is_built = false;
    *step = ENX_PROGRAM_COMPILE;
    ENX_TRY(enx_program_build(sandbox, program, task, &made, &is_built, report));
    if (!is_built) {
        *out = made;
        return ENX_OK;
    }
    *step = ENX_PROGRAM_RUN;
    const enx_status status = enx_program_start(sandbox, program, &made, task, out, report);
    enx_sandbox_result_deinit(&made);
    return status;
}
