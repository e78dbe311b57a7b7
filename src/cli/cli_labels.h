/* SPDX-License-Identifier: Apache-2.0 */
/* cli_labels.h - right answers that the user knows, to measure the lead by.
 *
 * JSON lines, each about one record of the input, by its number from 1 or by its field `id`:
 *
 *     {"record": 3, "answer": {"section": "editors"}}
 *     {"id": "vim", "answer": {"section": "editors"}}
 *
 * The answer of a class with a schema is a JSON value; another is a text.  Of a text that is
 * restored, a record of `run` is a paragraph.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_LABELS_H
#define ENX_CLI_CLI_LABELS_H

#include "base/buf.h"
#include "base/span.h"
#include "swarm/class.h"

#include <jansson.h>

/* A record and the items that were made of it. */
typedef struct cli_labelled {
    const json_t *record; /* NULL: it has no `id` */
    uint32_t      first, count;
} cli_labelled;

typedef struct cli_labels {
    enx_span *truths; /* [item_count], text NULL where nothing is known; NULL: no file */
    uint32_t  known;  /* items */
    enx_buf   text;   /* what the spans lie in */
} cli_labels;

/* `schema` of the answers, NULL: they are texts.  ENX_FORMAT names line and key: no JSON, no such
 * record, one twice, an answer of another type, or with other paragraphs than the record;
 * ENX_LIMIT; ENX_NOMEM; those of the file. */
ENX_MUST_USE enx_status cli_labels_read(cli_labels *out, const char *path,
                                        const cli_labelled *records, uint32_t record_count,
                                        const char *schema, enx_report *report);
void                    cli_labels_deinit(cli_labels *labels);

#endif /* ENX_CLI_CLI_LABELS_H */
