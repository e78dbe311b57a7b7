/* SPDX-License-Identifier: Apache-2.0 */
/* transfer.c - headers, limits and the reading of one response. */
#include "backend/transfer.h"

#include "base/check.h"
#include "plat/clock.h"

#include <stdio.h>
#include <string.h>

enum {
    RECEIVE_BYTES = 2048, /* an event or two; there may be thousands of transfers */
    HEADER_BYTES = 1024,
    ENDED_US = 250000, /* the API's end came; the server may end the response, too */
    KIND_BYTES = 64,
};

void enx_transfer_init(enx_transfer *t, const enx_api *api)
{
    *t = (enx_transfer){ .api = api };
    enx_buf_init(&t->request, ENX_API_REQUEST_BYTES_MAX);
    enx_buf_init(&t->body, ENX_REMOTE_BODY_BYTES_MAX);
    enx_sse_init(&t->sse, ENX_REMOTE_EVENT_BYTES_MAX);
    enx_api_reply_init(&t->reply);
}

void enx_transfer_close(enx_transfer *t)
{
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    enx_buf_deinit(&t->request);
    enx_buf_deinit(&t->body);
    enx_sse_deinit(&t->sse);
    enx_api_reply_deinit(&t->reply);
    *t = (enx_transfer){ 0 };
}

/* ---- Reading -------------------------------------------------------------------------------- */

static int status_of(const enx_transfer *t)
{
    long status = 0;
    if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK) return 0;
    return (int)status;
}

static bool spoil(enx_transfer *t, const char *why)
{
    t->is_spoilt = true;
    snprintf(t->why, sizeof t->why, "%s", why);
    return false;
}

/* "text/event-stream; charset=utf-8" */
static bool is_type(const char *type, const char *wanted)
{
    return strncasecmp(type, wanted, strlen(wanted)) == 0;
}

/* Known with the first byte of the body. */
static bool choose_kind(enx_transfer *t)
{
    char        why[ENX_TRANSFER_WHY_BYTES];
    const char *type = NULL;
    const int   status = status_of(t);
    if (curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type) != CURLE_OK || !type) type = "";
    if (status < 200 || status > 299) t->kind = ENX_TRANSFER_ERROR;
    else if (is_type(type, "text/event-stream")) t->kind = ENX_TRANSFER_STREAM;
    else if (is_type(type, "application/json")) t->kind = ENX_TRANSFER_BODY;
    else {
        char shown[KIND_BYTES];
        snprintf(shown, sizeof shown, "%s", type);
        for (char *at = shown; *at; at++)
            if (*at < ' ' || *at > '~') *at = '?';
        snprintf(why, sizeof why, "the answer's type is \"%s\", not text/event-stream", shown);
        return spoil(t, why);
    }
    return true;
}

static enx_status take_event(void *user, const char *event, const char *data, size_t data_bytes,
                             enx_report *report)
{
    (void)event; /* the data say it again */
    enx_transfer *t = user;
    const size_t  before = t->reply.text.size_bytes;
    ENX_TRY(t->api->event(&t->reply, data, data_bytes, report));
    const size_t after = t->reply.text.size_bytes;
    if (t->text_bytes_max && after > t->text_bytes_max)
        return ENX_FAIL(report, LIMIT, "the answer goes on beyond what was asked for");
    if (t->on_text && after > before)
        t->on_text(t->user, enx_buf_text(&t->reply.text) + before, after - before);
    return ENX_OK;
}

static bool take_bytes(enx_transfer *t, const char *bytes, size_t size)
{
    enx_report report = { 0 };
    if (t->kind == ENX_TRANSFER_UNKNOWN && !choose_kind(t)) return false;
    t->body_bytes += size;
    if (t->kind == ENX_TRANSFER_ERROR) {
        const size_t room = ENX_REMOTE_ERROR_BODY_BYTES_MAX - t->body.size_bytes;
        const bool   is_kept = enx_buf_append(&t->body, bytes, size < room ? size : room) == ENX_OK;
        return is_kept && size <= room; /* else the transfer ends: the status says enough */
    }
    if (t->body_bytes > ENX_REMOTE_BODY_BYTES_MAX) return spoil(t, "the answer is too long");
    if (t->kind == ENX_TRANSFER_BODY)
        return enx_buf_append(&t->body, bytes, size) == ENX_OK ||
               spoil(t, "no memory for the answer");
    if (t->reply.is_ended) return true;
    if (enx_sse_push(&t->sse, bytes, size, take_event, t, &report) == ENX_OK) return true;
    return spoil(t, report.text);
}

static size_t on_body(char *bytes, size_t one, size_t size, void *user)
{
    (void)one;
    enx_transfer *t = user;
    t->last_us = enx_clock_monotonic_us();
    return take_bytes(t, bytes, size) ? size : 0;
}

static size_t on_header(char *bytes, size_t one, size_t size, void *user)
{
    (void)one;
    (void)bytes;
    enx_transfer *t = user;
    t->last_us = enx_clock_monotonic_us();
    t->header_bytes += size;
    if (t->header_bytes <= ENX_REMOTE_HEADER_BYTES_MAX) return size;
    spoil(t, "the answer has too many headers");
    return 0;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static bool add_header(enx_transfer *t, const char *name, const char *value)
{
    char               line[HEADER_BYTES];
    const int          size = snprintf(line, sizeof line, "%s%s", name, value);
    struct curl_slist *grown = NULL;
    if (size > 0 && (size_t)size < sizeof line) grown = curl_slist_append(t->headers, line);
    if (grown) t->headers = grown;
    return grown != NULL;
}

static bool add_headers(enx_transfer *t, const enx_transfer_target *target)
{
    bool is_ok = add_header(t, "Content-Type: ", "application/json");
    is_ok = is_ok && add_header(t, "Accept: ", "text/event-stream, application/json");
    is_ok = is_ok && add_header(t, "Idempotency-Key: ", target->id);
    is_ok = is_ok && add_header(t, "Expect:", ""); /* no round trip before a long body */
    if (is_ok && target->key) is_ok = add_header(t, target->api->key_header, target->key);
    if (is_ok && target->api->header) is_ok = add_header(t, target->api->header, "");
    return is_ok;
}

/* No redirect, no proxy or password from the environment, nothing but HTTP. */
static CURLcode set_options(enx_transfer *t, const enx_transfer_target *target, void *owner)
{
    CURL    *e = t->easy;
    CURLcode code = curl_easy_setopt(e, CURLOPT_URL, target->url);
    if (!code) code = curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    if (!code) code = curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    if (!code) code = curl_easy_setopt(e, CURLOPT_PROXY, "");
    if (!code) code = curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    if (!code) code = curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    if (!code) code = curl_easy_setopt(e, CURLOPT_USERAGENT, "enxame/" ENX_VERSION);
    if (!code) code = curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
    if (!code) code = curl_easy_setopt(e, CURLOPT_POST, 1L);
    if (!code) code = curl_easy_setopt(e, CURLOPT_POSTFIELDS, enx_buf_text(&t->request));
    if (!code)
        code = curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->request.size_bytes);
    if (!code)
        code = curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(target->connect_us / 1000));
    if (!code) code = curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    if (!code) code = curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    if (!code) code = curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    if (!code) code = curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    if (!code) code = curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    if (!code) code = curl_easy_setopt(e, CURLOPT_PRIVATE, owner);
    return code;
}

enx_status enx_transfer_open(enx_transfer *t, const enx_transfer_target *target, void *owner,
                             uint64_t now_us, enx_report *report)
{
    ENX_CHECK(!t->easy);
    t->start_us = now_us;
    t->easy = curl_easy_init();
    if (!t->easy || !add_headers(t, target))
        return ENX_FAIL(report, NOMEM, "no memory for a request, or a header is too long");
    const CURLcode code = set_options(t, target, owner);
    if (code) return ENX_FAIL(report, INVALID, "libcurl: %s", curl_easy_strerror(code));
    return ENX_OK;
}

/* ---- Ends ----------------------------------------------------------------------------------- */

uint64_t enx_transfer_expiry(const enx_transfer *t, const enx_remote_model *limits)
{
    const uint64_t total_us = t->start_us + limits->total_us;
    uint64_t       expiry_us = t->start_us + limits->first_us;
    if (t->last_us) expiry_us = t->last_us + (t->reply.is_ended ? ENDED_US : limits->idle_us);
    return expiry_us < total_us ? expiry_us : total_us;
}

void enx_transfer_expire(enx_transfer *t, uint64_t now_us, const enx_remote_model *limits)
{
    if (t->reply.is_ended) return;
    if (now_us >= t->start_us + limits->total_us)
        snprintf(t->why, sizeof t->why, "the answer was not whole after %.1f s",
                 (double)limits->total_us * 1e-6);
    else if (!t->last_us)
        snprintf(t->why, sizeof t->why, "no answer for %.1f s", (double)limits->first_us * 1e-6);
    else
        snprintf(t->why, sizeof t->why, "the answer stood still for %.1f s",
                 (double)limits->idle_us * 1e-6);
}

static void read_body(enx_transfer *t, CURLcode code)
{
    enx_report report = { 0 };
    const bool is_error = t->kind == ENX_TRANSFER_ERROR;
    if (!is_error && (t->kind != ENX_TRANSFER_BODY || code != CURLE_OK)) return;
    const enx_status status =
        t->api->body(&t->reply, enx_buf_text(&t->body), t->body.size_bytes, &report);
    if (!is_error && status != ENX_OK) spoil(t, report.text);
}

static void explain(enx_transfer *t, CURLcode code, int status)
{
    const enx_api_error *error = &t->reply.error;
    if (t->why[0]) return;
    if (status >= 300)
        snprintf(t->why, sizeof t->why, "HTTP %d%s%s%s%.120s", status, error->kind[0] ? " " : "",
                 error->kind, error->message[0] ? ": " : "", error->message);
    else if (error->is_set)
        snprintf(t->why, sizeof t->why, "an error within the answer: %s%s%.120s", error->kind,
                 error->message[0] ? ": " : "", error->message);
    else if (code != CURLE_OK)
        snprintf(t->why, sizeof t->why, "the connection failed: %s", curl_easy_strerror(code));
    else snprintf(t->why, sizeof t->why, "the answer ended early");
}

enx_http_end enx_transfer_end(enx_transfer *t, CURLcode code)
{
    long      sent_bytes = 0;
    const int status = status_of(t);
    if (curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent_bytes) != CURLE_OK) sent_bytes = 1;
    read_body(t, code);
    if (code == CURLE_OK && t->reply.stop != ENX_API_STOP_NONE) t->reply.is_ended = true;
    if (code == CURLE_OK && t->kind == ENX_TRANSFER_UNKNOWN && status < 300)
        spoil(t, "the answer is empty");
    explain(t, code, status);
    return (enx_http_end){ .is_sent = sent_bytes > 0,
                           .status = status,
                           .is_spoilt = t->is_spoilt,
                           .has_error = t->reply.error.is_set,
                           .is_ended = t->reply.is_ended };
}

uint64_t enx_transfer_after_us(const enx_transfer *t)
{
    curl_off_t seconds = 0;
    if (curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &seconds) != CURLE_OK || seconds <= 0)
        return 0;
    return seconds > UINT32_MAX ? UINT64_MAX : (uint64_t)seconds * 1000000;
}
