/* SPDX-License-Identifier: Apache-2.0 */
/* api_json.h - what the two APIs, and the server that offers them, share in reading and writing
 * JSON.
 *
 * Layer: backend, included by api*.c and serve only.  Thread-safety: no shared state.
 */
#ifndef ENX_BACKEND_API_JSON_H
#define ENX_BACKEND_API_JSON_H

#include "backend/api.h"

#include <jansson.h>

/* An object of bounded depth; release by json_decref.  ENX_FORMAT, ENX_LIMIT. */
ENX_MUST_USE enx_status enx_api_json_load(json_t **out, const char *data, size_t data_bytes,
                                          enx_report *report);

/* Append it, compact, and release it; NULL is ENX_NOMEM. */
ENX_MUST_USE enx_status enx_api_json_append(enx_buf *out, json_t *json, enx_report *report);

/* A JSON string of a message.  ENX_FORMAT: not UTF-8, and where. */
ENX_MUST_USE enx_status enx_api_json_text(json_t **out, const enx_api_message *message,
                                          enx_report *report);
/* The request's schema as JSON.  ENX_FORMAT. */
ENX_MUST_USE enx_status enx_api_json_schema(json_t **out, const enx_api_request *request,
                                            enx_report *report);

/* Append the words that ask for the schema where a server cannot be told otherwise. */
ENX_MUST_USE enx_status enx_api_schema_words(enx_buf *out, const enx_api_request *request,
                                             enx_report *report);

/* Append a string to an answer; anything but a string is nothing. */
ENX_MUST_USE enx_status enx_api_take_text(enx_buf *out, const json_t *text, enx_report *report);

/* Read a count of tokens, if there is one.  True: there was, sound or not. */
bool enx_api_take_count(enx_api_usage *usage, const json_t *object, const char *key, uint64_t *out);

/* Read {"error": {"type", "code", "param", "message"}} or {"error": "text"}. */
void enx_api_take_error(enx_api_error *out, const json_t *error);

/* {"role", "content"} for each message from `first` on. */
ENX_MUST_USE enx_status enx_api_json_messages(json_t **out, const enx_api_request *request,
                                              size_t first, enx_report *report);

#endif /* ENX_BACKEND_API_JSON_H */
