/* SPDX-License-Identifier: Apache-2.0 */
/* cli_artifact.c - a conversation in the viewer's place for it. */
#include "cli/cli_artifact.h"

#include "base/check.h"
#include "cli/cli.h"
#include "plat/file.h"
#include "serve/page.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

enum { VIEWER_BYTES_MAX = 64 << 20 };

/* JSON inside a script element: nothing in it may end, or begin, one. */
static enx_status append_safe(enx_buf *out, const enx_buf *json)
{
    const char *at = enx_buf_text(json);
    for (size_t size; *at; at += size) {
        size = strcspn(at, "<");
        ENX_TRY(enx_buf_append(out, at, size));
        if (at[size] != '<') continue;
        ENX_TRY(enx_buf_append_text(out, "\\u003c"));
        size++;
    }
    return ENX_OK;
}

static enx_status append_viewer(enx_buf *out, const enx_buf *json)
{
    const char *place = strstr(enx_page_viewer, ENX_PAGE_TALK);
    ENX_CHECK(place);
    ENX_TRY(enx_buf_append(out, enx_page_viewer, (size_t)(place - enx_page_viewer)));
    ENX_TRY(append_safe(out, json));
    return enx_buf_append_text(out, place + sizeof ENX_PAGE_TALK - 1);
}

enx_status cli_artifact_write(const json_t *messages, const char *path, enx_report *report)
{
    enx_buf json, page;
    json_t *talk = json_pack("{s:O}", "messages", messages);
    enx_buf_init(&json, VIEWER_BYTES_MAX);
    enx_buf_init(&page, VIEWER_BYTES_MAX);
    enx_status status = cli_json_append(&json, talk);
    if (status == ENX_OK) status = append_viewer(&page, &json);
    if (status != ENX_OK) status = ENX_FAIL(report, LIMIT, "the conversation is too large");
    if (status == ENX_OK)
        status = enx_file_write(path, enx_buf_text(&page), page.size_bytes, report);
    json_decref(talk);
    enx_buf_deinit(&json);
    enx_buf_deinit(&page);
    return status;
}

enx_status cli_artifact_show(const char *path, enx_report *report)
{
    posix_spawn_file_actions_t actions;
    pid_t                      pid = 0;
    const char                *chosen = getenv("BROWSER");
    const char                *browser = chosen && chosen[0] ? chosen : "xdg-open";
    const char *const          arguments[] = { browser, path, NULL };
    posix_spawn_file_actions_init(&actions);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    const int error =
        posix_spawnp(&pid, browser, &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0) return ENX_OK;
    return ENX_FAIL(report, NOTFOUND, "%s: %s; open %s in a browser, or name one in $BROWSER",
                    browser, strerror(error), path);
}
