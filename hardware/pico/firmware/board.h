/* Which pin is what, on a Raspberry Pi Pico or Pico 2. README.md has the wiring. */
#ifndef CMIS_BOARD_H
#define CMIS_BOARD_H

#define PIN_SDA 4 /* I2C0 */
#define PIN_SCL 5

/* QSFP-DD, and QSFP28: levels from the host. */
#define PIN_RESET_L 10
#define PIN_LP_MODE 11
#define PIN_MOD_SEL_L 12

/* High: a transistor pulls IntL, or ModPrsL, low. OSFP: the first one drives INT. */
#define PIN_INTERRUPT 13
#define PIN_PRESENT 14

/* OSFP: lines of three levels, by the ADC. Not proven on a bench. */
#define PIN_INT_RSTN 26
#define PIN_LPWN_PRSN 27
#define OSFP_LOW_MV 1250

#define MODULE_ADDRESS 0x50

enum { PINS_NONE = 0, PINS_QSFP_DD = 1, PINS_OSFP = 2 };

#endif
