/* The DesignWare I2C block of RP2040 and RP2350 as a slave, by registers, with an interrupt handler of its own.
 *
 * Owns the order in which the block's interrupts mean something. It holds SCL low from RD_REQ until a byte is given to
 * it, and while its receive FIFO of 16 is full, so a late handler makes a slow bus, never a wrong byte. Facts: the
 * RP2040 datasheet's chapter on I2C and the SDK's register headers; what could not be read there is marked in
 * hardware/pico/README.md.
 */
#ifndef CMIS_SLAVE_H
#define CMIS_SLAVE_H

#include "rig.h"

enum i2c_register {
    IC_CON = 0x00, IC_SAR = 0x08, IC_DATA_CMD = 0x10, IC_INTR_STAT = 0x2C, IC_INTR_MASK = 0x30,
    IC_RAW_INTR_STAT = 0x34, IC_RX_TL = 0x38, IC_TX_TL = 0x3C, IC_CLR_RX_OVER = 0x48, IC_CLR_RD_REQ = 0x50,
    IC_CLR_TX_ABRT = 0x54, IC_CLR_RX_DONE = 0x58, IC_CLR_STOP_DET = 0x60, IC_CLR_START_DET = 0x64,
    IC_ENABLE = 0x6C, IC_STATUS = 0x70, IC_SDA_HOLD = 0x7C, IC_FS_SPKLEN = 0xA0,
};

enum i2c_interrupt {
    INT_RX_OVER = 1 << 1, INT_RX_FULL = 1 << 2, INT_RD_REQ = 1 << 5, INT_TX_ABRT = 1 << 6, INT_RX_DONE = 1 << 7,
    INT_STOP_DET = 1 << 9, INT_START_DET = 1 << 10,
};

enum i2c_bits {
    CON_SPEED_FAST = 2 << 1,     /* Fast-mode and Fast-mode Plus */
    CON_RESTART_EN = 1 << 5,
    CON_TX_EMPTY_CTRL = 1 << 8,
    CON_RX_FULL_HOLD = 1 << 9,   /* hold SCL while the receive FIFO is full */
    DATA_FIRST = 1 << 11,        /* FIRST_DATA_BYTE */
    STATUS_RFNE = 1 << 3,        /* receive FIFO not empty */
    STATUS_SLAVE = 1 << 6,       /* SLV_ACTIVITY: the slave is not idle */
};

struct slave {
    struct rig *rig;
#ifdef CMIS_SIM
    uint32_t (*read)(uint32_t offset);
    void (*write)(uint32_t offset, uint32_t value);
#else
    volatile uint8_t *registers;
#endif
    bool on;
    bool done; /* the controller has refused a byte: the read is over */
};

void slave_init(struct slave *slave, uint8_t address);
void slave_irq(struct slave *slave);
void slave_poll(struct slave *slave); /* every millisecond, at the interrupt's priority */

#endif
