/* SPDX-License-Identifier: Apache-2.0 */
/* scan.h - brackets, strings and comments of a piece of source, whole or broken.
 *
 * No parser: what a reader sees at a glance, in time linear in the text.  A string that does not
 * end on its line is a fault, and the line after it is code again; so one lost quote spoils a line
 * and not the file.
 *
 * Layer: repair.  Thread-safety: no shared state.
 */
#ifndef ENX_REPAIR_SCAN_H
#define ENX_REPAIR_SCAN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ENX_WINDOW_BYTES_MAX = 4096, /* of a piece */
    ENX_SCAN_DEPTH_MAX = 256,    /* brackets open at a time; deeper ones are faults */
};

typedef enum enx_code {
    ENX_CODE_PYTHON,
    ENX_CODE_C,
    ENX_CODE_JS,
    ENX_CODE_JSON,
    ENX_CODE_COUNT,
} enx_code;

enum { ENX_INSIDE_CODE, ENX_INSIDE_STRING, ENX_INSIDE_COMMENT };

typedef struct enx_scan {
    uint8_t  inside[ENX_WINDOW_BYTES_MAX];  /* of each byte; quotes are part of the string */
    int16_t  partner[ENX_WINDOW_BYTES_MAX]; /* of a bracket, or of a string's first and last byte;
                                               -1: none */
    int16_t  opener[ENX_WINDOW_BYTES_MAX + 1]; /* the innermost open bracket before byte i; -1 */
    int      surplus[3];                       /* opening less closing brackets: (), [], {} */
    uint32_t faults;                           /* brackets without partner, strings without end */
    uint32_t string_faults;                    /* of those, strings */
} enx_scan;

/* text[size_bytes], at most ENX_WINDOW_BYTES_MAX. */
void enx_scan_text(enx_scan *out, enx_code code, const char *text, uint32_t size_bytes);

#endif /* ENX_REPAIR_SCAN_H */
