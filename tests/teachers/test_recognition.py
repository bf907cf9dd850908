from toy_teachers import CLIPS, Y

from skanticipate import MLP, RecognitionTeacher


def test_recognition_teacher_is_a_plain_classifier_of_clips():
    teacher = RecognitionTeacher(MLP(16), max_epochs=40, lr=0.02, random_state=0)
    assert teacher.fit(CLIPS, Y).score(CLIPS, Y) > 0.7
    assert set(teacher.history_[0]) == {"epoch", "lr", "loss", "base"}
    assert teacher.feature_map(CLIPS).shape == (40, 1, 16)
