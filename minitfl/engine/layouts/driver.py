"""Words of the instructions themselves, which source.driver and source.threads run."""

from minitfl.engine.blocks import layout

INSTRUCTION = layout("Instruction", "function block units chunk")
INSTRUCTION_NBYTES = 8 * len(INSTRUCTION)
