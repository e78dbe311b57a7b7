/* SPDX-License-Identifier: Apache-2.0 */
/* textbook.h - markets that a pencil solves, to hold the others against.
 *
 * Layer: market.  Thread-safety: no shared state.
 * Source: Cournot 1838; Salop, "Monopolistic competition with outside goods", 1979; Sutton, "Sunk
 * costs and market structure", 1991; Spengler, "Vertical integration and antitrust policy", 1950.
 */
#ifndef ENX_MARKET_TEXTBOOK_H
#define ENX_MARKET_TEXTBOOK_H

#include "base/status.h"

#include <stdint.h>

enum { ENX_TEXTBOOK_KEYS_MAX = 5, ENX_TEXTBOOK_VALUES_MAX = 4 };

typedef enum enx_textbook_id {
    ENX_TEXTBOOK_COURNOT,  /* price a - b * quantity, n firms of unit cost c */
    ENX_TEXTBOOK_ENTRY,    /* the same, as many firms as pay a fixed cost F; a tie enters */
    ENX_TEXTBOOK_SALOP,    /* L buyers on a circle, t a unit of distance, fixed cost F */
    ENX_TEXTBOOK_SUTTON,   /* quality bought at spend F = u^beta, market size S */
    ENX_TEXTBOOK_ANNUITY,  /* F USD for some years at interest r, Q units a year at c each */
    ENX_TEXTBOOK_COMPUTE,  /* training on D tokens: served tokens that take as much */
    ENX_TEXTBOOK_LEARNING, /* learning rate, doublings */
    ENX_TEXTBOOK_HAZARD,   /* chance S that a law holds for T years */
    ENX_TEXTBOOKS_COUNT
} enx_textbook_id;

typedef struct enx_textbook_key {
    const char *name, *unit;
    double      low, high; /* of what may be given */
} enx_textbook_key;

typedef struct enx_textbook {
    const char      *name, *about;
    enx_textbook_key keys[ENX_TEXTBOOK_KEYS_MAX]; /* up to the first without a name */
    const char      *values[ENX_TEXTBOOK_VALUES_MAX];
} enx_textbook;

extern const enx_textbook enx_textbooks[ENX_TEXTBOOKS_COUNT];

/* `given` in the order of the keys, `values` in that of the names.  ENX_INVALID: names the key, its
 * unit and its range, or says why there is no market. */
ENX_MUST_USE enx_status enx_textbook_solve(double          values[ENX_TEXTBOOK_VALUES_MAX],
                                           enx_textbook_id id, const double *given,
                                           enx_report *report);

#endif /* ENX_MARKET_TEXTBOOK_H */
