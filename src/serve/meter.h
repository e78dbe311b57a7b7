/* SPDX-License-Identifier: Apache-2.0 */
/* meter.h - what a server has done, in numbers, as Prometheus reads them.
 *
 * Layer: serve.  Thread-safety: internally locked.
 */
#ifndef ENX_SERVE_METER_H
#define ENX_SERVE_METER_H

#include "engine/engine.h"
#include "serve/turn.h"

enum { ENX_METER_MODELS_MAX = 65, ENX_METER_CLASSES = 6 /* of HTTP statuses; 0: cut off */ };

typedef struct enx_meter_model {
    const char *name; /* borrowed */
    uint64_t    turns, failed;
    uint64_t    tokens_in, tokens_cached, tokens_out, cost_usd_nano;
    uint64_t    wait_us, read_us, write_us;
} enx_meter_model;

typedef struct enx_meter enx_meter;

/* `names` [count] are borrowed until close. */
ENX_MUST_USE enx_status enx_meter_open(enx_meter **out, const char *const *names, uint32_t count,
                                       enx_report *report);
void                    enx_meter_close(enx_meter **meter);

void enx_meter_request(enx_meter *meter, int http_status, bool is_cut, uint64_t bytes,
                       uint64_t elapsed_us);
void enx_meter_turn(enx_meter *meter, uint32_t model, const enx_turn_bill *bill);

/* Append all counters in the text format. */
ENX_MUST_USE enx_status enx_meter_write(enx_meter *meter, enx_buf *out);

typedef struct enx_meter_engine {
    const char       *name;
    uint32_t          waiting; /* turns, for a place */
    enx_engine_counts counts;
} enx_meter_engine;

/* Append what engines [count] have done. */
ENX_MUST_USE enx_status enx_meter_write_engines(const enx_meter_engine *engines, uint32_t count,
                                                enx_buf *out);

#endif /* ENX_SERVE_METER_H */
