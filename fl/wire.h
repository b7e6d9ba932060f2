/* SPDX-License-Identifier: MIT */
/* Every message between server and client as a struct, and what it weighs: bytes are counted from
 * these alone. SPEC 15. */
#ifndef FL_WIRE_H
#define FL_WIRE_H

#include "model.h"

/* Payload: the gate's vector, some experts' vectors with their counters, some expert indices of 4
 * bytes, a control variate. */
typedef struct fl_message {
    uint32_t client;
    const fl_model *gate_model; /* NULL: no gate inside */
    const float *gate;
    const fl_model *expert_model;
    size_t expert_count; /* vectors inside */
    float *const *experts;
    size_t index_count; /* expert indices inside */
    const uint32_t *indices;
    const fl_model *variate_model; /* NULL: no control variate inside */
    const float *variate;          /* its trained values alone */
    size_t float_count;            /* of a mean embedding */
} fl_message;

typedef struct fl_traffic {
    uint64_t messages, round_trips, down, up; /* down: server to client; bytes of payload */
} fl_traffic;

uint64_t fl_message_bytes(const fl_message *message);

void fl_traffic_down(fl_traffic *traffic, const fl_message *message);

/* An answer completes a round trip (SPEC 15.3). */
void fl_traffic_up(fl_traffic *traffic, const fl_message *message);

void fl_traffic_add(fl_traffic *total, const fl_traffic *part);

#endif
