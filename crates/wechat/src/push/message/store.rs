//! Events of which we know the name and who they are about, and nothing more: cards, stores, shops,
//! payment, logistics. Their fields go on raw and by [`super::to_json`].

/// An event of cards (卡券), invoices, stores (门店) and devices near them.
///
/// Source: WeChat docs, "Card event pushes" (卡券事件推送), "Electronic invoice" (电子发票), "WeChat
/// stores" (微信门店), "Shake around" (摇一摇周边) and "Wi-Fi".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are WeChat's own, and nothing else is known of them")]
pub enum StoreEvent {
    CardPassCheck,
    CardNotPassCheck,
    UserGetCard,
    UserGiftingCard,
    UserDelCard,
    UserConsumeCard,
    UserPayFromPayCell,
    UserViewCard,
    UserEnterSessionFromCard,
    UpdateMemberCard,
    CardSkuRemind,
    CardPayOrder,
    SubmitMembercardUserInfo,
    GiftcardPayDone,
    GiftcardSendToFriend,
    GiftcardUserAccept,
    CardMerchantCheckResult,
    UserAuthorizeInvoice,
    UpdateInvoiceStatus,
    SubmitInvoiceTitle,
    CloudInvoiceInvoiceresultEvent,
    MerchantOrder,
    PoiCheckNotify,
    CreateMapPoiAuditInfo,
    ShakearoundUserShake,
    WifiConnected,
}

impl StoreEvent {
    /// All of them, with `Event` in lower case.
    pub const ALL: [(&'static str, Self); 26] = [
        ("card_pass_check", Self::CardPassCheck),
        ("card_not_pass_check", Self::CardNotPassCheck),
        ("user_get_card", Self::UserGetCard),
        ("user_gifting_card", Self::UserGiftingCard),
        ("user_del_card", Self::UserDelCard),
        ("user_consume_card", Self::UserConsumeCard),
        ("user_pay_from_pay_cell", Self::UserPayFromPayCell),
        ("user_view_card", Self::UserViewCard),
        ("user_enter_session_from_card", Self::UserEnterSessionFromCard),
        ("update_member_card", Self::UpdateMemberCard),
        ("card_sku_remind", Self::CardSkuRemind),
        ("card_pay_order", Self::CardPayOrder),
        ("submit_membercard_user_info", Self::SubmitMembercardUserInfo),
        ("giftcard_pay_done", Self::GiftcardPayDone),
        ("giftcard_send_to_friend", Self::GiftcardSendToFriend),
        ("giftcard_user_accept", Self::GiftcardUserAccept),
        ("card_merchant_check_result", Self::CardMerchantCheckResult),
        ("user_authorize_invoice", Self::UserAuthorizeInvoice),
        ("update_invoice_status", Self::UpdateInvoiceStatus),
        ("submit_invoice_title", Self::SubmitInvoiceTitle),
        ("cloud_invoice_invoiceresult_event", Self::CloudInvoiceInvoiceresultEvent),
        ("merchant_order", Self::MerchantOrder),
        ("poi_check_notify", Self::PoiCheckNotify),
        ("create_map_poi_audit_info", Self::CreateMapPoiAuditInfo),
        ("shakearoundusershake", Self::ShakearoundUserShake),
        ("wificonnected", Self::WifiConnected),
    ];

    /// The event with this name, in lower case.
    pub(super) fn named(event: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == event).map(|(_, event)| *event)
    }
}

/// A field of WeChat's business with events of its own.
///
/// Source: WeChat docs, the event pages of each of these products; which names belong to a carrier:
/// "Carrier side" of "Logistics assistant" (物流助手运力方).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventArea {
    /// Shipping and orders of mini programs: `trade_manage_*`.
    Shipping,
    /// Logistics: `add_express_path`, `ewaybill_push_path`.
    Logistics,
    /// Instant delivery: `update_waybill_status`, `transport_*`.
    InstantDelivery,
    /// Virtual payment: `xpay_*`. Wants an `ErrCode` as the answer.
    VirtualPayment,
    /// Complaints: `complaint_callback`.
    Complaint,
    /// Videos: `secvod_*`.
    Video,
    /// Books: `secbook_*`.
    Book,
    /// Comments: `wxa_comment_*`.
    Comment,
    /// Mini games: `minigame_*`.
    MiniGame,
    /// The trade component: `open_product_*`, `aftersale_*`.
    TradeComponent,
    /// WeChat stores: `channels_ec_*`, `product_*`.
    Shop,
    /// The side of a carrier: `add_waybill`, `get_quota`, `check_biz` and others. Wants an `ErrCode`
    /// as the answer.
    Carrier,
}

impl EventArea {
    /// The area of the event with this name, in lower case.
    pub(super) fn of(event: &str) -> Option<Self> {
        let whole = match event {
            "add_express_path" | "ewaybill_push_path" => Some(Self::Logistics),
            "update_waybill_status" => Some(Self::InstantDelivery),
            "complaint_callback" => Some(Self::Complaint),
            "add_waybill" | "cancel_waybill" | "get_quota" | "check_biz" => Some(Self::Carrier),
            _ => None,
        };
        let families = [
            ("trade_manage_", Self::Shipping),
            ("transport_", Self::InstantDelivery),
            ("xpay_", Self::VirtualPayment),
            ("secvod_", Self::Video),
            ("secbook_", Self::Book),
            ("wxa_comment_", Self::Comment),
            ("minigame_", Self::MiniGame),
            ("open_product_", Self::TradeComponent),
            ("aftersale_", Self::TradeComponent),
            ("channels_ec_", Self::Shop),
            ("product_", Self::Shop),
        ];
        let family = || families.iter().find(|(beginning, _)| event.starts_with(beginning));
        whole.or_else(|| family().map(|(_, area)| *area))
    }
}
