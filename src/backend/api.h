/* SPDX-License-Identifier: Apache-2.0 */
/* api.h - a conversation with a model behind an HTTP API: what is asked, what came back.
 *
 * A request says nothing about the task that it is for.  Two APIs can carry it:
 *
 *     openai     POST URL/chat/completions   OpenAI, and the many servers that speak like it
 *     anthropic  POST URL/messages           Anthropic Messages
 *
 * Both are asked for a stream of events (sse.h); a server that answers with one whole object
 * instead is understood too.  What it says is untrusted: every field is bounded and checked, and
 * its count of tokens is believed only where it can be true (enx_api_settle).
 *
 * Sources: OpenAI API reference, "Create chat completion"; Anthropic API reference, "Messages" and
 * "Streaming messages".
 *
 * Layer: backend.  Thread-safety: a reply has one owner thread; the rest is no shared state.
 */
#ifndef ENX_BACKEND_API_H
#define ENX_BACKEND_API_H

#include "base/buf.h"
#include "base/status.h"
#include "swarm/ports.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_API_MESSAGES_MAX = 256,
    ENX_API_STOPS_MAX = 4,
    ENX_API_REQUEST_BYTES_MAX = 32 << 20,
    ENX_API_TEXT_BYTES_MAX = 8 << 20, /* of an answer */
    ENX_API_JSON_DEPTH_MAX = 64,      /* of what a server sends */
    ENX_API_WORD_BYTES_MAX = 64,
    ENX_API_MESSAGE_BYTES_MAX = 240, /* of a server's error */
    ENX_API_TOKEN_BYTES_MAX = 256,   /* no vocabulary known has a longer token */
    ENX_API_TOKENS_MORE = 64,        /* what APIs put around messages */
    ENX_API_MESSAGE_TOKENS_MORE = 16,
};

/* ---- Asking --------------------------------------------------------------------------------- */

typedef enum enx_api_role { ENX_API_SYSTEM, ENX_API_USER, ENX_API_ASSISTANT } enx_api_role;

typedef struct enx_api_message {
    enx_api_role role;
    const char  *text; /* [text_bytes], UTF-8 */
    size_t       text_bytes;
} enx_api_message;

typedef struct enx_api_request {
    const enx_api_message *messages; /* [message_count]; system ones first */
    size_t                 message_count;
    const char            *schema; /* JSON Schema that the answer must follow; NULL: any text */
    const char            *schema_name; /* letters, digits, _ and -; NULL: "answer" */
    uint32_t               max_tokens;  /* of the answer, thinking included; > 0 */
    double                 temperature; /* negative: the server's default */
    double                 top_p;       /* 0: the server's default */
    bool                   has_seed;
    uint32_t               seed;
    const char *const     *stops; /* [stop_count] */
    size_t                 stop_count;
    bool                   wants_logprobs;
} enx_api_request;

/* What a server may not know.  The driver starts with all that a model's settings allow, and does
 * without the one that a refusal names. */
enum {
    ENX_API_HAS_SCHEMA = 1,   /* response_format, or a forced tool; else the prompt must do */
    ENX_API_HAS_LOGPROBS = 2, /* openai only */
    ENX_API_HAS_TEMPERATURE = 4,
    ENX_API_HAS_TOP_P = 8,
    ENX_API_HAS_SEED = 16,
    ENX_API_HAS_STREAM_USAGE = 32,
    ENX_API_HAS_MAX_TOKENS = 64, /* else its newer name, max_completion_tokens */
    ENX_API_HAS_STOPS = 128,
    ENX_API_HAS_ALL = 255,
};

/* ---- Answers -------------------------------------------------------------------------------- */

typedef enum enx_api_stop {
    ENX_API_STOP_NONE, /* the API's own end has not come */
    ENX_API_STOP_END,
    ENX_API_STOP_LENGTH,
    ENX_API_STOP_FILTER,
    ENX_API_STOP_REFUSAL,
} enx_api_stop;

/* As told, nothing believed yet. */
typedef struct enx_api_usage {
    bool     has_in, has_out, has_total;
    bool     is_broken; /* a count that is no whole number from 0 on, or more cached than read */
    uint64_t in;        /* evaluated: without the cached ones */
    uint64_t cached;
    uint64_t out; /* with the thinking */
    uint64_t reasoning;
    uint64_t total;
} enx_api_usage;

typedef struct enx_api_error {
    bool is_set;
    char kind[ENX_API_WORD_BYTES_MAX];       /* type or code */
    char field[ENX_API_WORD_BYTES_MAX];      /* of the request, that it is about; "" unknown */
    char message[ENX_API_MESSAGE_BYTES_MAX]; /* printable */
} enx_api_error;

typedef struct enx_api_reply {
    enx_buf       text; /* UTF-8 */
    enx_api_stop  stop;
    bool          is_ended; /* nothing more will come */
    bool          has_tool; /* text is a tool's input */
    enx_api_usage usage;
    double        sum_logprob, min_logprob; /* natural, over logprob_count tokens */
    uint32_t      logprob_count;
    enx_api_error error;
} enx_api_reply;

void enx_api_reply_init(enx_api_reply *reply);
void enx_api_reply_deinit(enx_api_reply *reply);

/* ---- The two APIs --------------------------------------------------------------------------- */

typedef struct enx_api {
    const char *name;
    const char *path;       /* after the URL */
    const char *key;        /* the environment variable that its makers use for the key */
    const char *key_header; /* what goes before the key */
    const char *header;     /* another one that it wants; NULL: none */
    unsigned    features;

    /* Append the body of a request.  ENX_FORMAT: a text is not UTF-8, or the schema no JSON;
     * ENX_INVALID: messages that the API cannot carry; ENX_LIMIT, ENX_NOMEM. */
    enx_status (*write)(const enx_api_request *request, const char *model, unsigned features,
                        enx_buf *out, enx_report *report);

    /* One event of a stream.  ENX_FORMAT: not what the API says; ENX_LIMIT; ENX_NOMEM. */
    enx_status (*event)(enx_api_reply *reply, const char *data, size_t data_bytes,
                        enx_report *report);

    /* A whole answer, or an error. */
    enx_status (*body)(enx_api_reply *reply, const char *data, size_t data_bytes,
                       enx_report *report);
} enx_api;

extern const enx_api enx_api_openai, enx_api_anthropic;

/* NULL: no such API. */
const enx_api *enx_api_find(const char *name);

/* The feature, of those in use, that a refused request stumbled over; 0: none that is known. */
unsigned enx_api_refused_feature(const enx_api_error *error, unsigned features);

/* ---- Money ---------------------------------------------------------------------------------- */

typedef struct enx_api_bounds {
    uint32_t tokens_in_max;
    uint32_t tokens_out_max;
    uint64_t prompt_bytes; /* of the texts that were sent */
} enx_api_bounds;

/* The most that a request without a schema can use: a token of text is at least a byte. */
enx_api_bounds enx_api_request_bounds(const enx_api_request *request);

/* What an answered call has used.  Usage that is missing, broken, above the bounds, that does not
 * add up, or is too small for the texts that went over the line is not believed: then the bounds
 * settle, and the reason is returned.  NULL: believed. */
const char *enx_api_settle(const enx_api_reply *reply, const enx_api_bounds *bounds,
                           enx_usage_count *out);

/* ---- JSON ----------------------------------------------------------------------------------- */

/* The first JSON object or array in a text, from its bracket to the matching one, past prose and
 * fences around it.  False: there is none that ends. */
bool enx_api_json_find(const char *text, size_t size_bytes, size_t *begin, size_t *end);

#endif /* ENX_BACKEND_API_H */
