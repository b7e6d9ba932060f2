/* SPDX-License-Identifier: MIT */
/* Exit 1 where MDEBR of s390x, two floats multiplied into a double, is emulated wrongly: qemu 7.2
 * takes the first for a double. gcc does not use the instruction, clang does from -O1 on. */
int main(void)
{
    volatile float five = -5.0f, three = -3.0f;
    float a = five, b = three;
    double product;
    __asm__("ldr %0,%1\n\tmdebr %0,%2" : "=&f"(product) : "f"(a), "f"(b));
    return product != 15.0;
}
