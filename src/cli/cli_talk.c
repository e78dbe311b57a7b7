/* SPDX-License-Identifier: Apache-2.0 */
/* cli_talk.c - messages as jansson has them, which is what templates and files want. */
#include "cli/cli_talk.h"

#include <string.h>

enx_status cli_talk_init(cli_talk *talk, enx_report *report)
{
    talk->messages = json_array();
    return talk->messages ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for a conversation");
}

void cli_talk_deinit(cli_talk *talk)
{
    json_decref(talk->messages);
    talk->messages = NULL;
}

static bool has_role(const cli_talk *talk, size_t index, const char *role)
{
    const char *text =
        json_string_value(json_object_get(json_array_get(talk->messages, index), "role"));
    return text && strcmp(text, role) == 0;
}

/* The first message of the user from `index` on; the number of messages: none. */
static size_t find_question(const cli_talk *talk, size_t index)
{
    const size_t count = json_array_size(talk->messages);
    while (index < count && !has_role(talk, index, "user")) index++;
    return index;
}

/* The last message of the user; the number of messages: none. */
static size_t find_last_question(const cli_talk *talk)
{
    const size_t count = json_array_size(talk->messages);
    for (size_t i = count; i-- > 0;)
        if (has_role(talk, i, "user")) return i;
    return count;
}

/* Drop messages [first, end); false: there are none. */
static bool drop(cli_talk *talk, size_t first, size_t end)
{
    for (size_t i = end; i-- > first;) json_array_remove(talk->messages, i);
    return end > first;
}

/* ---- Adding --------------------------------------------------------------------------------- */

enx_status cli_talk_set_system(cli_talk *talk, const char *text, enx_report *report)
{
    if (has_role(talk, 0, "system")) json_array_remove(talk->messages, 0);
    if (!text[0]) return ENX_OK;
    json_t *message = json_pack("{s:s, s:s}", "role", "system", "content", text);
    return json_array_insert_new(talk->messages, 0, message) == 0
               ? ENX_OK
               : ENX_FAIL(report, NOMEM, "no memory for the message");
}

const char *cli_talk_system(const cli_talk *talk)
{
    if (!has_role(talk, 0, "system")) return NULL;
    return json_string_value(json_object_get(json_array_get(talk->messages, 0), "content"));
}

static enx_status add(cli_talk *talk, json_t *message, enx_report *report)
{
    if (json_array_size(talk->messages) >= CLI_TALK_MESSAGES_MAX) {
        json_decref(message);
        return ENX_FAIL(report, LIMIT, "%d messages; begin a new conversation by /clear",
                        CLI_TALK_MESSAGES_MAX);
    }
    return json_array_append_new(talk->messages, message) == 0
               ? ENX_OK
               : ENX_FAIL(report, NOMEM, "no memory for the message");
}

enx_status cli_talk_ask(cli_talk *talk, const char *text, enx_report *report)
{
    return add(talk, json_pack("{s:s, s:s}", "role", "user", "content", text), report);
}

enx_status cli_talk_answer(cli_talk *talk, const char *text, const char *thought,
                           enx_report *report)
{
    return add(talk,
               json_pack("{s:s, s:s, s:s*}", "role", "assistant", "content", text,
                         "reasoning_content", thought[0] ? thought : NULL),
               report);
}

/* ---- Dropping ------------------------------------------------------------------------------- */

size_t cli_talk_exchange_count(const cli_talk *talk)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(talk->messages); i++) count += has_role(talk, i, "user");
    return count;
}

void cli_talk_clear(cli_talk *talk)
{
    drop(talk, has_role(talk, 0, "system") ? 1 : 0, json_array_size(talk->messages));
}

bool cli_talk_drop_last(cli_talk *talk)
{
    return drop(talk, find_last_question(talk), json_array_size(talk->messages));
}

bool cli_talk_drop_answer(cli_talk *talk)
{
    return drop(talk, find_last_question(talk) + 1, json_array_size(talk->messages));
}

bool cli_talk_drop_oldest(cli_talk *talk)
{
    const size_t first = find_question(talk, 0), next = find_question(talk, first + 1);
    return next < json_array_size(talk->messages) && drop(talk, first, next);
}

/* ---- Files ---------------------------------------------------------------------------------- */

static enx_status check_message(const json_t *message, size_t number, enx_report *report)
{
    static const char *const roles[] = { "system", "user", "assistant", "tool" };
    const char              *role = json_string_value(json_object_get(message, "role"));
    const json_t            *content = json_object_get(message, "content");
    const json_t            *thought = json_object_get(message, "reasoning_content");
    bool                     is_role = false;
    for (size_t i = 0; role && i < sizeof roles / sizeof *roles; i++)
        is_role |= strcmp(role, roles[i]) == 0;
    if (!is_role)
        return ENX_FAIL(report, FORMAT,
                        "message %zu: a \"role\" of system, user, assistant or tool is needed",
                        number);
    if (!json_is_string(content) || (thought && !json_is_string(thought)))
        return ENX_FAIL(report, FORMAT, "message %zu: a \"content\" that is a text is needed%s",
                        number, thought ? ", and \"reasoning_content\" is one too" : "");
    return ENX_OK;
}

static enx_status check_messages(const json_t *messages, enx_report *report)
{
    const size_t count = json_array_size(messages);
    if (!json_is_array(messages))
        return ENX_FAIL(report, FORMAT,
                        "a list of messages is needed, or an object with one at \"messages\"");
    if (count > CLI_TALK_MESSAGES_MAX)
        return ENX_FAIL(report, LIMIT, "%zu messages, at most %d are possible", count,
                        CLI_TALK_MESSAGES_MAX);
    for (size_t i = 0; i < count; i++)
        ENX_TRY(check_message(json_array_get(messages, i), i + 1, report));
    return ENX_OK;
}

enx_status cli_talk_load(cli_talk *talk, const char *json, size_t size_bytes, enx_report *report)
{
    json_error_t error;
    json_t      *root = json_loadb(json, size_bytes, JSON_REJECT_DUPLICATES, &error);
    if (!root) return ENX_FAIL(report, FORMAT, "line %d: %s", error.line, error.text);
    json_t          *messages = json_is_object(root) ? json_object_get(root, "messages") : root;
    const enx_status status = check_messages(messages, report);
    if (status == ENX_OK) {
        json_decref(talk->messages);
        talk->messages = json_incref(messages);
    }
    json_decref(root);
    return status;
}
