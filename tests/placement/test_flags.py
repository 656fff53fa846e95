import torch

from ins3d.placement.flags import KnownFlag


class TestKnownFlag:
    def test_follows_what_is_written(self):
        flag, known = torch.tensor(False), KnownFlag()
        assert not known(flag)
        flag.fill_(True)
        assert known(flag)
        with torch.inference_mode():
            flag.fill_(False)
        assert not known(flag) and known(torch.tensor(True))

    def test_of_a_tensor_of_inference(self):
        with torch.inference_mode():
            flag, known = torch.tensor(False), KnownFlag()
            assert not known(flag)
            flag.fill_(True)
            assert known(flag)

    def test_asks_once(self):
        class Asked(torch.Tensor):
            number = 0

            def __bool__(self) -> bool:
                Asked.number += 1
                return True

        flag, known = torch.tensor(True).as_subclass(Asked), KnownFlag()
        assert known(flag) and known(flag) and Asked.number == 1
