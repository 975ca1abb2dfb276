"""The stages of the method, each one function from checkpoint to checkpoint, in the order of the paper.

S0, S1  supervised     pictures and labels in, a segmenter out
S2      correct        the label network learns to revise labels
S3      discriminate   the discriminator learns to tell real masks from revised ones
S4      adversarial    both against one another, on the noisy labels
        revise         revised labels and trust weights are written
S5      finetune       the segmenter learns from the revised labels by their weights

Each of these files is the stage's loop and what belongs to it alone. Shared are setup (data, machine, networks, what is
handed on), steps (the iterations), labels (what S2 to S4 learn from), targets (what S5 learns from), judge and revision
(the networks' opinion of a whole picture's label).
"""
