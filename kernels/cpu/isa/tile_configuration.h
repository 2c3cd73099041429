// The 64 bytes that ldtilecfg reads: palette 1 is eight tiles of up to 16 rows of 64 bytes. Included inside an
// instruction set's namespace.
struct TileConfiguration {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};
static_assert(sizeof(TileConfiguration) == 64, "as the processor reads it");
