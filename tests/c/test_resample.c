/* Rows picked, or summed with weights, along an axis. */
#include "check.h"

void test_resample(void) {
    testing("resample");
    FOR_EACH_LENGTH (width)
        FOR_EACH (taps, 0, 1, 2, 5) { /* 0: rows are copied */
            const int64_t size = 7, outputs = 5, inner = width + 2, count = taps ? taps : 1;
            int32_t *index = fresh(outputs * count * sizeof *index);
            for (int64_t i = 0; i < outputs * count; i++) index[i] = (int32_t)(i * 3 % size);
            const float *x = random_floats(size * inner, -1, 1), *weights = random_floats(outputs * count, -1, 1);
            output y = new_output(outputs * inner);
            for (int64_t j = 0; j < outputs; j++)
                for (int64_t i = 0; i < width; i++) {
                    double sum = 0, scale = 0;
                    for (int64_t t = 0; t < count; t++) {
                        const double term = x[index[j * count + t] * inner + i] * (taps ? weights[j * count + t] : 1.0);
                        sum += term, scale += fabs(term);
                    }
                    put(y, j * inner + i, sum, taps ? scale : 0);
                }
            fc_resample call = {x, y.got, index, taps ? weights : NULL, outputs, count, inner, width};
            k->resample(&call);
            expect(y, taps + 1);
            release();
        }
}
