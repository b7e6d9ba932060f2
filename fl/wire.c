/* SPDX-License-Identifier: MIT */
/* Bytes of a message: 4 a float and index, 8 a batch-norm counter. SPEC 15.1. */
#include "wire.h"

uint64_t fl_message_bytes(const fl_message *message)
{
    uint64_t bytes = 4 * ((uint64_t)message->index_count + message->float_count);
    if (message->gate_model != NULL)
        bytes += nn_layout_bytes(&message->gate_model->layout);
    if (message->expert_model != NULL)
        bytes += message->expert_count * nn_layout_bytes(&message->expert_model->layout);
    if (message->variate_model != NULL)
        bytes += 4 * (uint64_t)message->variate_model->layout.trained;
    return bytes;
}

void fl_traffic_down(fl_traffic *traffic, const fl_message *message)
{
    traffic->messages++;
    traffic->down += fl_message_bytes(message);
}

void fl_traffic_up(fl_traffic *traffic, const fl_message *message)
{
    traffic->messages++;
    traffic->round_trips++;
    traffic->up += fl_message_bytes(message);
}

void fl_traffic_add(fl_traffic *total, const fl_traffic *part)
{
    total->messages += part->messages;
    total->round_trips += part->round_trips;
    total->down += part->down;
    total->up += part->up;
}
