import pytest
import torch
from torch import Tensor, nn

from segrt.trainer.consistency import Teacher, cut_boxes, disturb, mix, teach


class Says(nn.Module):
    """Logits of its own, at half the input's size."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits


def test_a_teacher_answers_where_it_is_sure_and_tells_how_often_it_is():
    logits = torch.zeros(1, 2, 2, 2)
    logits[0, 1, :, 0] = 8.0  # sure of class 1 on the left, undecided on the right
    share, ids = teach(Says(logits), torch.zeros(1, 3, 2, 2), 0.8, "ce")
    assert ids.tolist() == [[[1, 255], [1, 255]]]
    assert share == 0.5
    assert teach(Says(logits), torch.zeros(1, 3, 4, 4), 0.0, "ce")[1].shape == (1, 4, 4)


def test_a_teacher_moves_towards_its_student_by_its_decay_and_answers_with_what_it_has_become():
    student = nn.Conv2d(3, 2, 1)
    nn.init.zeros_(student.weight)
    nn.init.zeros_(student.bias)
    teacher = Teacher(student, 0.75)
    with torch.no_grad():
        student.bias.copy_(torch.tensor([0.0, 8.0]))
    assert (teacher.answer(torch.zeros(1, 3, 2, 2), 0.8, "ce")[1] == 255).all()
    teacher.follow(student, 0)  # at once by its own decay: it need not forget a random start
    assert teacher.state["bias"].tolist() == [0.0, 2.0]
    assert (teacher.answer(torch.zeros(1, 3, 2, 2), 0.8, "ce")[1] == 1).all()
    again = Teacher(student, 0.75)
    again.load(teacher.state)
    assert again.state["bias"].tolist() == [0.0, 2.0]


def test_a_disturbed_picture_is_another_but_not_far_from_it():
    torch.manual_seed(0)
    x = torch.randn(4, 3, 32, 32)
    seen = disturb(x)
    assert seen.shape == x.shape
    assert all(0.1 < (a - b).abs().mean() < 1.0 for a, b in zip(seen, x, strict=True))


def test_boxes_are_cut_from_half_of_the_pictures():
    torch.manual_seed(0)
    shares = cut_boxes(200, (20, 30), torch.device("cpu")).float().mean(dim=(1, 2, 3))
    assert 0.4 < (shares > 0).float().mean() < 0.6
    assert shares[shares > 0].min() > 0.015
    assert shares.max() < 0.5


@pytest.mark.parametrize("channels", [1, 3])
def test_a_box_is_filled_from_the_picture_before(channels):
    values = torch.arange(3.0).view(3, 1, 1, 1).expand(3, channels, 2, 2)
    boxes = torch.zeros(3, 1, 2, 2, dtype=torch.bool)
    boxes[:, :, 0] = True
    mixed = mix(values, boxes)
    assert (mixed[:, :, 0] == torch.tensor([2.0, 0.0, 1.0]).view(3, 1, 1)).all()
    assert (mixed[:, :, 1] == torch.tensor([0.0, 1.0, 2.0]).view(3, 1, 1)).all()
