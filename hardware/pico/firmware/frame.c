#include "frame.h"

/* CRC-16/CCITT-FALSE: x^16 + x^12 + x^5 + 1, from FFFFh, highest bit first. */
uint16_t frame_crc(const uint8_t *data, size_t length) {
    uint16_t crc = 0xFFFF;
    for (size_t i = 0; i < length; i++) {
        uint8_t x = (uint8_t)(crc >> 8 ^ data[i]);
        x ^= (uint8_t)(x >> 4);
        crc = (uint16_t)(crc << 8 ^ (uint16_t)(x << 12) ^ (uint16_t)(x << 5) ^ x);
    }
    return crc;
}

size_t frame_encode(uint8_t *raw, size_t length, uint8_t *coded) {
    uint16_t crc = frame_crc(raw, length);
    raw[length++] = (uint8_t)crc;
    raw[length++] = (uint8_t)(crc >> 8);
    size_t code_at = 0, at = 1;
    uint8_t run = 1;
    for (size_t i = 0; i < length; i++) {
        if (raw[i]) {
            coded[at++] = raw[i];
            run++;
        }
        if (!raw[i] || run == 0xFF) {
            coded[code_at] = run;
            code_at = at++;
            run = 1;
        }
    }
    coded[code_at] = run;
    coded[at++] = 0;
    return at;
}

size_t frame_decode(uint8_t *coded, size_t length) {
    size_t in = 0, out = 0;
    while (in < length) {
        uint8_t run = coded[in++];
        if (run == 0 || in + run - 1u > length)
            return 0;
        for (uint8_t i = 1; i < run; i++)
            coded[out++] = coded[in++];
        if (run != 0xFF && in < length)
            coded[out++] = 0;
    }
    if (out < FRAME_HEAD + 2u)
        return 0;
    uint16_t crc = frame_crc(coded, out - 2);
    if (coded[out - 2] != (uint8_t)crc || coded[out - 1] != (uint8_t)(crc >> 8))
        return 0;
    return out - 2;
}
