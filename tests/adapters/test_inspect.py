"""`make adapters` lists the formats; `make inspect` says what would become of a file and stores nothing."""

from __future__ import annotations

from dagster_project.cli import main
from tests.adapters.test_platform_formats import DOUYIN


def test_the_list_names_every_adapter_and_its_export(capsys, tmp_path):
    assert main(["adapters"], {"DATA": str(tmp_path)}) == 0
    listed = capsys.readouterr().out
    for name in ("douyin_orders", "tiktok_shop_orders", "agora_call_metrics", "feishu_roster", "bilibili_chat"):
        assert name in listed


def test_inspect_says_adapter_columns_and_quarantined_rows_and_loads_nothing(capsys, tmp_path):
    file = tmp_path / "orders" / "room_id=R1" / "十月.csv"
    file.parent.mkdir(parents=True)
    bad = DOUYIN.replace("2026/10/02 00:05:00", "昨天")
    file.write_bytes(bad.encode("gb18030"))
    data = tmp_path / "data"
    status = main(["inspect"], {"FILE": str(file), "DATA": str(data), "QUARANTINE_LIMIT": "0.5"})
    told = capsys.readouterr().out
    assert status == 0
    assert "orders/room_id=R1/十月.csv: adapter douyin_orders, export orders" in told
    assert "unit_price       <- 商品金额 or 商品单价" in told
    assert "3 rows: 0 fine, 2 waiting for a parent that is not landed, 1 quarantined; file accepted" in told
    assert "row 3: unparsable instant" in told
    assert not (data / "private").exists()


def test_inspect_of_an_unknown_file_names_the_nearest_adapter(capsys, tmp_path):
    file = tmp_path / "what.csv"
    file.write_text(DOUYIN.replace("主订单编号", "单号"), encoding="utf-8")
    assert main(["inspect"], {"FILE": str(file), "DATA": str(tmp_path / "data")}) == 1
    assert "the nearest is douyin_orders, for which 主订单编号 is missing" in capsys.readouterr().out


def test_inspect_without_a_file_is_one_clear_line(capsys, tmp_path):
    assert main(["inspect"], {"FILE": str(tmp_path / "none.csv")}) == 1
    assert "FILE is no file" in capsys.readouterr().err
