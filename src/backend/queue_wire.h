/* SPDX-License-Identifier: Apache-2.0 */
/* queue_wire.h - calls and reports as bytes that go from machine to machine.
 *
 * A message is one line of words, "key=value" each and always in the same order, which ends with
 * the sizes of texts, and then the texts one after the other, as they are.  Every number comes out
 * as it went in, doubles too, so that a job on many machines has the answers and the bill of one on
 * a single machine.  (JSON was two thirds of what a call cost the lead.)
 *
 * Several messages travel as one when they are short and many: a line with their sizes, and then
 * one after the other.
 *
 * What comes in was written by somebody else: each field is bounded, no key may be missing or
 * unknown, and texts must end where the message does.
 *
 * Layer: backend.  Thread-safety: no shared state.
 */
#ifndef ENX_BACKEND_QUEUE_WIRE_H
#define ENX_BACKEND_QUEUE_WIRE_H

#include "base/buf.h"
#include "plat/digest.h"
#include "swarm/ports.h"

enum {
    ENX_WIRE_VERSION = 1,
    ENX_WIRE_HEAD_BYTES_MAX = 4096,
    ENX_WIRE_TEXT_BYTES_MAX = 16 << 20, /* of one text */
    ENX_WIRE_WHAT_BYTES = 64,
    ENX_WIRE_ERROR_BYTES_MAX = 1000,   /* of a report's sentence; longer ones are cut */
    ENX_WIRE_NAME_BYTES = 64,          /* of a worker's machine */
    ENX_WIRE_BUNDLE_MAX = 32,          /* messages that travel as one */
    ENX_WIRE_BUNDLE_BYTES = 128 << 10, /* where a bundle ends that has more than one */
};

/* A call on its way.  Texts are borrowed. */
typedef struct enx_wire_call {
    uint64_t salt; /* of the job: with call.call_id, the one name of this call anywhere */
    char     model[ENX_DIGEST_TEXT]; /* of the file that shall answer */
    char     what[ENX_WIRE_WHAT_BYTES];
    char     task_class[ENX_DIGEST_TEXT]; /* digest of its words, which travel once; "": none */
    uint64_t within_us;                   /* of its arrival; later nobody waits for it */
    enx_call call; /* model, task_class, deadline_us and reserved_usd_nano mean nothing elsewhere */
} enx_wire_call;

/* The words of a class of tasks, as far as a model needs them. */
typedef struct enx_wire_class {
    enx_class value;
    void     *owner; /* private: what the words lie in */
} enx_wire_class;

typedef struct enx_wire_report {
    uint64_t        salt;
    char            model[ENX_DIGEST_TEXT];
    char            worker[ENX_WIRE_NAME_BYTES]; /* whose report it is */
    enx_call_report report;
} enx_wire_report;

/* One message of a bundle; borrowed. */
typedef struct enx_wire_part {
    const char *bytes;
    size_t      size_bytes;
} enx_wire_part;

/* Append the message.  ENX_INVALID: a space in a name or a language; ENX_LIMIT or ENX_NOMEM of the
 * buffer. */
ENX_MUST_USE enx_status enx_wire_call_write(enx_buf *out, const enx_wire_call *call);
ENX_MUST_USE enx_status enx_wire_report_write(enx_buf *out, const enx_wire_report *report);

/* Texts point into `bytes`, except a goal and an error, which are copied into `texts` (cleared
 * first) to be zero-terminated.  ENX_FORMAT, ENX_LIMIT, ENX_NOMEM. */
ENX_MUST_USE enx_status enx_wire_call_read(enx_wire_call *out, enx_buf *texts, const char *bytes,
                                           size_t size_bytes, enx_report *report);
ENX_MUST_USE enx_status enx_wire_report_read(enx_wire_report *out, enx_buf *texts,
                                             const char *bytes, size_t size_bytes,
                                             enx_report *report);

/* Append `count` messages as one; one alone is as it was.  ENX_LIMIT or ENX_NOMEM of the buffer. */
ENX_MUST_USE enx_status enx_wire_bundle_write(enx_buf *out, const enx_wire_part *parts,
                                              uint32_t count);
/* The *count messages in `bytes`, at least one, each still to be read.  ENX_FORMAT. */
ENX_MUST_USE enx_status enx_wire_bundle_read(enx_wire_part parts[ENX_WIRE_BUNDLE_MAX],
                                             uint32_t *count, const char *bytes, size_t size_bytes,
                                             enx_report *report);

/* Append a class as JSON: the same class, the same bytes.  ENX_INVALID: an example is not UTF-8;
 * ENX_LIMIT or ENX_NOMEM of the buffer. */
ENX_MUST_USE enx_status enx_wire_class_write(enx_buf *out, const enx_class *task_class);
/* ENX_FORMAT, ENX_INVALID (class.h), ENX_NOMEM. */
ENX_MUST_USE enx_status enx_wire_class_read(enx_wire_class *out, const char *bytes,
                                            size_t size_bytes, enx_report *report);
void                    enx_wire_class_close(enx_wire_class *task_class);

/* Is it a digest as enx_digest writes it? */
bool enx_wire_is_digest(const char *text);
/* Letters, digits, - and _, at least one, fewer than ENX_WIRE_NAME_BYTES: what can be part of a
 * subject. */
bool enx_wire_is_name(const char *text);

#endif /* ENX_BACKEND_QUEUE_WIRE_H */
