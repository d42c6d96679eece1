/* Frames on a byte stream: CRC-16, COBS, a zero between them. Shared by both directions. */
#ifndef CMIS_FRAME_H
#define CMIS_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_HEAD 7u /* kind, session, sequence, acknowledged */
#define FRAME_BODY 144u
#define FRAME_RAW (FRAME_HEAD + FRAME_BODY + 2u)
#define FRAME_CODED (FRAME_RAW + 3u) /* with COBS and the zero */

uint16_t frame_crc(const uint8_t *data, size_t length);

/* Append the CRC to `raw` (room for two more bytes) and encode it to `coded`, with the zero; the length. */
size_t frame_encode(uint8_t *raw, size_t length, uint8_t *coded);

/* Decode in place, without the zero; length without the CRC, or 0 for a frame that is broken. */
size_t frame_decode(uint8_t *coded, size_t length);

#endif
