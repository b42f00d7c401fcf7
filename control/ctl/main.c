/* main.c - sluicectl, the operator's command: a client of the control API and nothing else. */
#include "control/ctl/ctl.h"

int main(int argc, char **argv)
{
    return ctl_main(argc, argv);
}
