/* The firmware on a board: pins, the interrupt, a tick every millisecond, USB.
 *
 * The I2C interrupt comes before all others. The tick holds it off while it looks, and runs from a timer, so that the
 * lease ends although the main loop waits for USB.
 */
#include "board.h"
#include "slave.h"

#include "hardware/adc.h"
#include "hardware/gpio.h"
#include "hardware/i2c.h"
#include "hardware/irq.h"
#include "hardware/sync.h"
#include "pico/rand.h"
#include "pico/stdio/driver.h"
#include "pico/stdio_usb.h"
#include "pico/stdlib.h"

#define RESET_PULSE_US 10 /* RST-03: a shorter one is not seen */

static struct rig rig;
static struct slave slave;

static void __not_in_flash_func(i2c_interrupt)(void) { slave_irq(&slave); }

static bool line_is_low(uint input) {
    adc_select_input(input);
    return adc_read() * 3300u / 4096u < OSFP_LOW_MV;
}

static uint8_t side_levels(void) {
    if (rig.pin_set == PINS_OSFP)
        return (uint8_t)((line_is_low(PIN_INT_RSTN - 26) ? 0 : SIDE_RESET_L) |
                         (line_is_low(PIN_LPWN_PRSN - 26) ? SIDE_LP_MODE : 0));
    return (uint8_t)((gpio_get(PIN_RESET_L) ? SIDE_RESET_L : 0) | (gpio_get(PIN_LP_MODE) ? SIDE_LP_MODE : 0) |
                     (gpio_get(PIN_MOD_SEL_L) ? SIDE_MOD_SEL_L : 0));
}

static void look(void) {
    uint8_t levels = rig.pin_set ? side_levels() : rig.sides;
    uint32_t now_ms = to_ms_since_boot(get_absolute_time());
    uint32_t mask = save_and_disable_interrupts();
    rig_tick(&rig, now_ms);
    rig_sides(&rig, levels);
    slave_poll(&slave);
    uint8_t lamps = rig_lamps(&rig);
    restore_interrupts(mask);
    gpio_put(PIN_INTERRUPT, lamps & LAMP_INT);
    gpio_put(PIN_PRESENT, lamps & LAMP_PRESENT);
}

static bool tick(repeating_timer_t *timer) {
    (void)timer;
    look();
    return true;
}

/* A pulse that is shorter than a tick counts as well, from its tenth microsecond on. */
static void reset_fell(uint gpio, uint32_t events) {
    (void)gpio;
    (void)events;
    busy_wait_us_32(RESET_PULSE_US);
    if (rig.pin_set == PINS_QSFP_DD && !gpio_get(PIN_RESET_L))
        look();
}

static void set_up_pins(void) {
    static const uint inputs[] = {PIN_RESET_L, PIN_LP_MODE, PIN_MOD_SEL_L};
    static const uint outputs[] = {PIN_INTERRUPT, PIN_PRESENT};
    for (uint i = 0; i < count_of(inputs); i++) {
        gpio_init(inputs[i]);
        gpio_pull_up(inputs[i]);
    }
    for (uint i = 0; i < count_of(outputs); i++) {
        gpio_init(outputs[i]);
        gpio_put(outputs[i], false);
        gpio_set_dir(outputs[i], GPIO_OUT);
    }
    adc_init();
    adc_gpio_init(PIN_INT_RSTN);
    adc_gpio_init(PIN_LPWN_PRSN);
    gpio_set_irq_enabled_with_callback(PIN_RESET_L, GPIO_IRQ_EDGE_FALL, true, reset_fell);
}

static void set_up_bus(void) {
    i2c_init(i2c0, 1000 * 1000); /* its reset, and the spike filter of Fast-mode Plus */
    gpio_set_function(PIN_SDA, GPIO_FUNC_I2C);
    gpio_set_function(PIN_SCL, GPIO_FUNC_I2C);
    gpio_disable_pulls(PIN_SDA); /* the pull-ups are the host's */
    gpio_disable_pulls(PIN_SCL);
    slave.rig = &rig;
    slave.registers = (volatile uint8_t *)i2c_get_hw(i2c0);
    slave_init(&slave, MODULE_ADDRESS);
    irq_set_exclusive_handler(I2C0_IRQ, i2c_interrupt);
    irq_set_priority(I2C0_IRQ, PICO_HIGHEST_IRQ_PRIORITY);
    irq_set_enabled(I2C0_IRQ, true);
}

int main(void) {
    stdio_usb_init();
    rig_init(&rig, get_rand_32());
    set_up_pins();
    set_up_bus();
    repeating_timer_t timer;
    add_repeating_timer_ms(-1, tick, NULL, &timer);

    static uint8_t in[256], out[FRAME_CODED];
    size_t have = 0;
    for (;;) {
        int found = have < sizeof in ? stdio_usb.in_chars((char *)in + have, (int)(sizeof in - have)) : 0;
        if (found > 0)
            have += (size_t)found;
        size_t taken = rig_receive(&rig, in, have);
        for (size_t i = taken; i < have; i++)
            in[i - taken] = in[i];
        have -= taken;
        size_t length = stdio_usb_connected() ? rig_transmit(&rig, out) : 0;
        if (length)
            stdio_usb.out_chars((const char *)out, (int)length);
    }
}
