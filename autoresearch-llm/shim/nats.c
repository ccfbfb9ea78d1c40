/* Cross-entropy from logits, for the evaluation that does not trust the program which computed them.
 *
 * It is C because experiments build this crate unoptimised, and this loop runs over every logit. */

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 16, BLOCK = 1024 };

/* e to the power of x, for x of at most 0, to about 1e-7 of it. Plain arithmetic, which compilers vectorise. */
static inline float exponential(float x) {
    const float shift = 12582912.0f; /* 1.5 * 2^23: a sum with it holds the nearest integer in its last bits */
    x = x < -87.0f ? -87.0f : x;
    float shifted = x * 1.44269504f + shift;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    float whole = shifted - shift;
    float r = x - whole * 0.693359375f;
    r = r - whole * -2.12194440e-4f;
    float p = 1.0f / 5040.0f;
    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    int32_t power = (bits - 0x4B400000 + 127) << 23;
    float scale;
    memcpy(&scale, &power, sizeof scale);
    return p * scale;
}

/* Writes the nats of each target under the softmax of its logits. `row` has room for one position's logits. Returns the first
 * position with a logit that is not finite, or `positions`.
 *
 * Whoever wrote the logits may go on writing: each position's are copied once, and only the copy is looked at. */
size_t autoresearch_nats(const float *logits, size_t vocabulary, size_t positions, const uint16_t *targets, float *row,
                         double *nats) {
    for (size_t at = 0; at < positions; at++) {
        memcpy(row, logits + at * vocabulary, vocabulary * sizeof *row);
        /* After this the compiler may not read the source again in place of the copy. */
        __asm__ volatile("" : : "r"(row) : "memory");

        float tops[LANES], odd[LANES], top = -INFINITY, rest = 0.0f;
        for (size_t lane = 0; lane < LANES; lane++) {
            tops[lane] = -INFINITY;
            odd[lane] = 0.0f;
        }
        size_t whole = vocabulary - vocabulary % LANES;
        for (size_t i = 0; i < whole; i += LANES) {
            for (size_t lane = 0; lane < LANES; lane++) {
                float x = row[i + lane];
                tops[lane] = tops[lane] > x ? tops[lane] : x;
                odd[lane] += x - x;
            }
        }
        for (size_t lane = 0; lane < LANES; lane++) {
            top = top > tops[lane] ? top : tops[lane];
            rest += odd[lane];
        }
        for (size_t i = whole; i < vocabulary; i++) {
            top = top > row[i] ? top : row[i];
            rest += row[i] - row[i];
        }
        if (rest != 0.0f) {
            return at; /* NaN: some x - x was not 0 */
        }

        double total = 0.0;
        for (size_t begin = 0; begin < whole; begin += BLOCK) {
            size_t end = begin + BLOCK < whole ? begin + BLOCK : whole;
            float sums[LANES] = {0.0f};
            for (size_t i = begin; i < end; i += LANES) {
                for (size_t lane = 0; lane < LANES; lane++) {
                    sums[lane] += exponential(row[i + lane] - top);
                }
            }
            for (size_t lane = 0; lane < LANES; lane++) {
                total += sums[lane];
            }
        }
        for (size_t i = whole; i < vocabulary; i++) {
            total += exponential(row[i] - top);
        }
        nats[at] = log(total) + ((double)top - (double)row[targets[at]]);
    }
    return positions;
}
