#include "shared.h"
int main(void) { return two(); }
