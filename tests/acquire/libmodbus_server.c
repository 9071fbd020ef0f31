/* An independent Modbus TCP server on 127.0.0.1: argument 1 is the port. libmodbus does the protocol; floats are laid
   into words by hand, because its modbus_set_float_abcd of version 3.1.6 swaps the bytes on a little-endian host. */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint16_t swapped(uint16_t word)
{
    return (uint16_t) (word << 8 | word >> 8);
}

static void set_float(uint16_t *first, float value, int low_word_first, int low_byte_first)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t high = (uint16_t) (bits >> 16), low = (uint16_t) bits;
    first[low_word_first ? 1 : 0] = low_byte_first ? swapped(high) : high;
    first[low_word_first ? 0 : 1] = low_byte_first ? swapped(low) : low;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    int32_t oxygen = 209000;
    int64_t pulses = -5000000000LL;
    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    modbus_mapping_t *map = modbus_mapping_new(40, 40, 200, 200);
    if (context == NULL || map == NULL)
        return 1;
    map->tab_input_registers[10] = (uint16_t) -123;
    map->tab_input_registers[11] = 0x7FFF;
    map->tab_input_registers[12] = 2401;
    set_float(map->tab_input_registers + 20, 242.25f, 0, 0);
    set_float(map->tab_input_registers + 22, -17.5f, 1, 0);
    set_float(map->tab_input_registers + 24, 1.001f, 0, 1);
    set_float(map->tab_input_registers + 26, 75.0f, 1, 1);
    MODBUS_SET_INT32_TO_INT16(map->tab_registers, 100, oxygen);
    MODBUS_SET_INT64_TO_INT16(map->tab_registers, 102, pulses);
    map->tab_registers[110] = 0x4F56;
    map->tab_registers[111] = 0x454E;
    map->tab_registers[112] = 0x0200;
    map->tab_input_bits[3] = 1;
    map->tab_input_bits[17] = 1;
    map->tab_bits[30] = 1;

    int listening = modbus_tcp_listen(context, 4);
    if (listening == -1)
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(context, &listening) == -1)
            return 1;
        uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
        int length;
        while ((length = modbus_receive(context, query)) != -1)
            if (length > 0 && modbus_reply(context, query, length, map) == -1)
                break;
        modbus_close(context);
    }
}
