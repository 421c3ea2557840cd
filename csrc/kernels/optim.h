/* Updates of optimizers: one pass over the elements. Outputs may be the inputs of the same name. */

FC_INLINE vf v_root(vf x) {
    for (int i = 0; i < FC_VL; i++) x[i] = sqrtf(x[i]);
    return x;
}

/* hyper: learning rate, momentum, decay. slots: velocity (with momentum). */
FC_INLINE void sgd_as(const fc_update *u, int with_momentum, int nesterov) {
    const float rate = (float)u->hyper[0], momentum = (float)u->hyper[1], decay = (float)u->hyper[2];
    for (int64_t i = u->start; i < u->end; i += FC_VL) {
        const int64_t n = u->end - i;
        vf w = v_load_some(u->w + i, n), step = v_load_some(u->g + i, n) * -rate;
        w = w - w * decay;
        if (with_momentum) {
            vf velocity = v_load_some(u->slots[0] + i, n) * momentum + step;
            v_store_some(u->new_slots[0] + i, velocity, n);
            step = nesterov ? velocity * momentum + step : velocity;
        }
        v_store_some(u->new_w + i, w + step, n);
    }
}

static void fc_sgd(const fc_update *u) {
    if (!u->slots[0]) sgd_as(u, 0, 0);
    else if (u->flag) sgd_as(u, 1, 1);
    else sgd_as(u, 1, 0);
}

/* hyper: bias-corrected rate, beta 1, beta 2, epsilon, decay. slots: m, v, greatest v (AMSGrad). */
FC_INLINE void adam_as(const fc_update *u, int amsgrad) {
    const float rate = (float)u->hyper[0], epsilon = (float)u->hyper[3], decay = (float)u->hyper[4];
    const float a1 = (float)(1 - u->hyper[1]), a2 = (float)(1 - u->hyper[2]);
    for (int64_t i = u->start; i < u->end; i += FC_VL) {
        const int64_t n = u->end - i;
        vf w = v_load_some(u->w + i, n), g = v_load_some(u->g + i, n);
        vf m = v_load_some(u->slots[0] + i, n), v = v_load_some(u->slots[1] + i, n);
        w = w - w * decay;
        m = m + (g - m) * a1;
        v = v + (g * g - v) * a2;
        v_store_some(u->new_slots[0] + i, m, n);
        v_store_some(u->new_slots[1] + i, v, n);
        if (amsgrad) {
            v = v_max(v_load_some(u->slots[2] + i, n), v);
            v_store_some(u->new_slots[2] + i, v, n);
        }
        v_store_some(u->new_w + i, w - m * rate / (v_root(v) + epsilon), n);
    }
}

static void fc_adam(const fc_update *u) {
    if (u->slots[2]) adam_as(u, 1);
    else adam_as(u, 0);
}

/* hyper: learning rate, rho, momentum, epsilon, decay. slots: mean square, mean (centered), velocity (momentum). */
FC_INLINE void rmsprop_as(const fc_update *u, int centered, int with_momentum) {
    const float rate = (float)u->hyper[0], rho = (float)u->hyper[1], rest = (float)(1 - u->hyper[1]);
    const float momentum = (float)u->hyper[2], epsilon = (float)u->hyper[3], decay = (float)u->hyper[4];
    for (int64_t i = u->start; i < u->end; i += FC_VL) {
        const int64_t n = u->end - i;
        vf w = v_load_some(u->w + i, n), g = v_load_some(u->g + i, n);
        w = w - w * decay;
        vf square = v_load_some(u->slots[0] + i, n) * rho + g * g * rest;
        v_store_some(u->new_slots[0] + i, square, n);
        if (centered) {
            vf mean = v_load_some(u->slots[1] + i, n) * rho + g * rest;
            v_store_some(u->new_slots[1] + i, mean, n);
            square = square - mean * mean;
        }
        vf step = g * rate / v_root(square + epsilon);
        if (with_momentum) {
            step = v_load_some(u->slots[2] + i, n) * momentum + step;
            v_store_some(u->new_slots[2] + i, step, n);
        }
        v_store_some(u->new_w + i, w - step, n);
    }
}

static void fc_rmsprop(const fc_update *u) {
    if (u->slots[1] && u->slots[2]) rmsprop_as(u, 1, 1);
    else if (u->slots[1]) rmsprop_as(u, 1, 0);
    else if (u->slots[2]) rmsprop_as(u, 0, 1);
    else rmsprop_as(u, 0, 0);
}
