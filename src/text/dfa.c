/* SPDX-License-Identifier: Apache-2.0 */
/* dfa.c - states in a row of bytes, found by hash; a table of steps that fills as it is used. */
#include "text/dfa.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROW = 256,
    SLOTS = 2 * ENX_DFA_STATES_MAX,
};

typedef struct place {
    uint32_t offset, size_bytes; /* in bytes[] */
} place;

struct enx_dfa {
    const enx_automaton *automaton;
    uint16_t            *steps;  /* [states][ROW] */
    place               *places; /* [states] */
    uint8_t             *bytes;  /* the used bytes of all states, one after the other */
    uint8_t             *state;  /* [state_bytes] the one that a step is tried on */
    uint16_t            *slots;  /* [SLOTS] 1 + number, 0: free */
    uint32_t             count, byte_count;
};

enx_status enx_dfa_open(enx_dfa **out, const enx_automaton *automaton, enx_report *report)
{
    ENX_CHECK(out && automaton);
    enx_dfa *dfa = ENX_MEM_NEW(enx_dfa, 1);
    if (dfa) {
        dfa->automaton = automaton;
        dfa->steps = ENX_MEM_NEW(uint16_t, (size_t)ENX_DFA_STATES_MAX * ROW);
        dfa->places = ENX_MEM_NEW(place, ENX_DFA_STATES_MAX);
        dfa->bytes = ENX_MEM_NEW(uint8_t, ENX_DFA_BYTES_MAX);
        dfa->state = enx_mem_new(1, automaton->state_bytes);
        dfa->slots = ENX_MEM_NEW(uint16_t, SLOTS);
    }
    if (!dfa || !dfa->steps || !dfa->places || !dfa->bytes || !dfa->state || !dfa->slots) {
        enx_dfa_close(&dfa);
        return ENX_FAIL(report, NOMEM, "no memory for an automaton's table");
    }
    *out = dfa;
    return ENX_OK;
}

void enx_dfa_close(enx_dfa **dfa)
{
    if (!*dfa) return;
    enx_mem_free((*dfa)->steps);
    enx_mem_free((*dfa)->places);
    enx_mem_free((*dfa)->bytes);
    enx_mem_free((*dfa)->state);
    enx_mem_free((*dfa)->slots);
    enx_mem_free(*dfa);
    *dfa = NULL;
}

void enx_dfa_clear(enx_dfa *dfa)
{
    memset(dfa->slots, 0, SLOTS * sizeof *dfa->slots);
    dfa->count = 0;
    dfa->byte_count = 0;
}

static uint32_t hash_of(const uint8_t *bytes, size_t size_bytes)
{
    uint64_t hash = size_bytes;
    for (size_t i = 0; i < size_bytes; i += 8) {
        uint64_t     word = 0;
        const size_t left = size_bytes - i;
        memcpy(&word, bytes + i, left < 8 ? left : 8);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

uint16_t enx_dfa_number(enx_dfa *dfa, const void *state)
{
    const enx_automaton *a = dfa->automaton;
    const size_t         size_bytes = a->used_bytes ? a->used_bytes(a, state) : a->state_bytes;
    uint32_t             slot = hash_of(state, size_bytes) % SLOTS;
    for (; dfa->slots[slot]; slot = (slot + 1) % SLOTS) {
        const place *other = &dfa->places[dfa->slots[slot] - 1];
        if (other->size_bytes == size_bytes &&
            memcmp(dfa->bytes + other->offset, state, size_bytes) == 0)
            return (uint16_t)(dfa->slots[slot] - 1);
    }
    if (dfa->count == ENX_DFA_STATES_MAX || dfa->byte_count + size_bytes > ENX_DFA_BYTES_MAX)
        return ENX_DFA_FULL;
    const uint16_t number = (uint16_t)dfa->count++;
    dfa->places[number] = (place){ dfa->byte_count, (uint32_t)size_bytes };
    memcpy(dfa->bytes + dfa->byte_count, state, size_bytes);
    dfa->byte_count += (uint32_t)size_bytes;
    memset(dfa->steps + (size_t)number * ROW, 0xFF, ROW * sizeof *dfa->steps); /* all unknown */
    dfa->slots[slot] = (uint16_t)(number + 1);
    return number;
}

const uint16_t *enx_dfa_row(const enx_dfa *dfa, uint16_t number)
{
    return dfa->steps + (size_t)number * ROW;
}

uint16_t enx_dfa_step(enx_dfa *dfa, uint16_t number, uint8_t byte)
{
    ENX_CHECK(number < dfa->count);
    const place from = dfa->places[number];
    memcpy(dfa->state, dfa->bytes + from.offset, from.size_bytes);
    const bool     is_taken = dfa->automaton->step(dfa->automaton, dfa->state, byte);
    const uint16_t next = is_taken ? enx_dfa_number(dfa, dfa->state) : ENX_DFA_REFUSED;
    if (next != ENX_DFA_FULL) dfa->steps[(size_t)number * ROW + byte] = next;
    return next;
}
