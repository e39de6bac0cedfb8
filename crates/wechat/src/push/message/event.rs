//! What happens at an account: the content of events. Nothing here is needed, so nothing here fails;
//! numbers and codes are told as they were sent.

mod read;

use std::fmt;

use super::{EventArea, Place, StoreEvent};
use crate::xml::Node;

/// What one event tells below the common elements. `EventKey` stands in the head. Its `Debug` shows
/// no content.
///
/// Source: WeChat docs, "Receive event pushes" (接收事件推送), "Menu event pushes" (自定义菜单事件推送)
/// and the pages that each event's product has; letter case is inconsistent and does not count.
#[derive(Clone, PartialEq, Eq)]
pub enum MessageEvent {
    /// `subscribe`: a fan follows the account.
    Subscribe {
        /// The scene value behind `qrscene_` in `EventKey`, if a QR code with one was scanned.
        scene: Option<String>,
        /// `Ticket` of that QR code.
        ticket: Option<String>,
    },
    /// `unsubscribe`.
    Unsubscribe,
    /// `SCAN`: a fan who follows the account scanned a QR code; `EventKey` is the scene value.
    Scan {
        /// `Ticket` of the QR code.
        ticket: Option<String>,
    },
    /// `LOCATION`: where a fan is.
    Location(Place),
    /// `CLICK`: a menu entry was tapped; `EventKey` is its key.
    Click,
    /// `VIEW`: a menu entry was tapped that opens the page in `EventKey`.
    View {
        /// `MenuId`.
        menu_id: Option<String>,
    },
    /// `scancode_push`: a menu entry scanned a code.
    ScanCodePush(ScanCode),
    /// `scancode_waitmsg`: the same, and the fan waits for a message.
    ScanCodeWait(ScanCode),
    /// `pic_sysphoto`: a menu entry took pictures.
    PicSysphoto(SentPictures),
    /// `pic_photo_or_album`: a menu entry took or chose pictures.
    PicPhotoOrAlbum(SentPictures),
    /// `pic_weixin`: a menu entry chose pictures.
    PicWeixin(SentPictures),
    /// `location_select`: a menu entry chose a place.
    LocationSelect(Place),
    /// `view_miniprogram`: a menu entry opened the mini program's page in `EventKey`.
    ViewMiniProgram {
        /// `MenuId`.
        menu_id: Option<String>,
    },
    /// `TEMPLATESENDJOBFINISH`: what became of a template message.
    TemplateSendJobFinish {
        /// `MsgID` of the message that was sent.
        msg_id: Option<String>,
        /// `Status`: `success`, `failed:user block`, `failed: system failed`.
        status: Option<String>,
    },
    /// `MASSSENDJOBFINISH`: what became of a mass message.
    MassSendJobFinish {
        /// `MsgID` of the message that was sent.
        msg_id: Option<String>,
        /// `Status`: `send success`, `send fail`, `err(num)`.
        status: Option<String>,
        /// `TotalCount`: fans it was meant for.
        total_count: Option<String>,
        /// `FilterCount`: fans left after filtering.
        filter_count: Option<String>,
        /// `SentCount`: fans it reached.
        sent_count: Option<String>,
        /// `ErrorCount`: fans it did not reach.
        error_count: Option<String>,
        /// `CopyrightCheckResult`.
        copyright: Option<Node<'static>>,
        /// `ArticleUrlResult`.
        article_urls: Option<Node<'static>>,
    },
    /// `PUBLISHJOBFINISH`: what became of a publication.
    PublishJobFinish {
        /// `publish_id`.
        publish_id: Option<String>,
        /// `publish_status`: 0 is published.
        publish_status: Option<String>,
        /// `article_id`.
        article_id: Option<String>,
        /// The articles that were published.
        articles: Vec<PublishedArticle>,
        /// `fail_idx`: the articles that were refused.
        failed: Vec<String>,
    },
    /// `subscribe_msg_popup_event`: a fan was asked whether he wants notices.
    SubscribeMsgPopup(Vec<SubscribedTemplate>),
    /// `subscribe_msg_change_event`: a fan changed which notices he wants.
    SubscribeMsgChange(Vec<SubscribedTemplate>),
    /// `subscribe_msg_sent_event`: what became of notices.
    SubscribeMsgSent(Vec<SubscribedTemplate>),
    /// `qualification_verify_success`, `naming_verify_success`, `annual_renew`, `verify_expired`: a
    /// verification stands, is due or has ended.
    Verified {
        /// `ExpiredTime`: until when.
        expired_time: Option<String>,
    },
    /// `qualification_verify_fail`, `naming_verify_fail`.
    VerificationFailed {
        /// `FailTime`.
        fail_time: Option<String>,
        /// `FailReason`.
        fail_reason: Option<String>,
    },
    /// `user_info_modified`: a fan's profile changed, and what is stored of it is stale.
    UserInfoModified(RevokedConsent),
    /// `user_authorization_revoke`: a fan withdrew his consent, and what is stored of him must go.
    UserAuthorizationRevoke(RevokedConsent),
    /// `kf_create_session`: a clerk began to talk with a fan.
    KfCreateSession {
        /// `KfAccount`: the clerk.
        kf_account: Option<String>,
    },
    /// `kf_close_session`.
    KfCloseSession {
        /// `KfAccount`: the clerk.
        kf_account: Option<String>,
    },
    /// `kf_switch_session`: a talk went from one clerk to another.
    KfSwitchSession {
        /// `FromKfAccount`.
        from_kf_account: Option<String>,
        /// `ToKfAccount`.
        to_kf_account: Option<String>,
    },
    /// `guide_qrcode_scan_event`: a fan scanned a shopping guide's code.
    GuideQrcodeScan {
        /// `GuideScanEvent`.
        scan: Option<Node<'static>>,
    },
    /// `user_enter_tempsession`: a fan opened the customer service of a mini program.
    UserEnterTempSession {
        /// `SessionFrom`: what the button says of where he comes from.
        session_from: Option<String>,
    },
    /// `weapp_audit_success`: a version of a mini program passed.
    WeappAuditSuccess {
        /// `SuccTime`.
        succ_time: Option<String>,
    },
    /// `weapp_audit_fail`.
    WeappAuditFail {
        /// `FailTime`.
        fail_time: Option<String>,
        /// `Reason`; it may have HTML line breaks in it.
        reason: Option<String>,
        /// `ScreenShot`: media ids, which WeChat joins with `|`.
        screenshots: Vec<String>,
    },
    /// `weapp_audit_delay`.
    WeappAuditDelay {
        /// `DelayTime`.
        delay_time: Option<String>,
        /// `Reason`.
        reason: Option<String>,
    },
    /// `wxa_nickname_audit`: a name was audited.
    WxaNicknameAudit {
        /// `ret`: 2 refused, 3 passed.
        ret: Option<String>,
        /// `nickname`.
        nickname: Option<String>,
        /// `reason`.
        reason: Option<String>,
    },
    /// `wxa_category_audit`: a category was audited.
    WxaCategoryAudit {
        /// `ret`: 2 refused, 3 passed.
        ret: Option<String>,
        /// `first`: the upper category.
        first: Option<String>,
        /// `second`: the category below it.
        second: Option<String>,
        /// `reason`.
        reason: Option<String>,
    },
    /// `wxa_privacy_apply`: the use of an interface of privacy was audited.
    WxaPrivacyApply {
        /// `api_name`.
        api_name: Option<String>,
        /// `apply_time`.
        apply_time: Option<String>,
        /// `audit_id`.
        audit_id: Option<String>,
        /// `audit_time`.
        audit_time: Option<String>,
        /// `reason`.
        reason: Option<String>,
        /// `status`.
        status: Option<String>,
    },
    /// `wxa_illegal_record`: the mini program broke a rule.
    WxaIllegalRecord,
    /// `wxa_appeal_record`: an appeal moved on.
    WxaAppealRecord,
    /// `wx_verify_pay_succ`: the verification was paid for.
    WxVerifyPaySucc,
    /// `wx_verify_dispatch`: the verification was given to somebody.
    WxVerifyDispatch,
    /// `wxa_media_check`: a picture or a sound was judged.
    WxaMediaCheck {
        /// `appid`.
        appid: Option<String>,
        /// `trace_id` of the call that asked.
        trace_id: Option<String>,
        /// `version`.
        version: Option<String>,
        /// The verdict as a whole.
        result: Option<CheckVerdict>,
        /// The verdict of each strategy.
        detail: Vec<CheckVerdict>,
        /// `isrisky` of the old form.
        isrisky: Option<String>,
        /// `status_code` of the old form.
        status_code: Option<String>,
    },
    /// `betaapp_authorization_apply_event`: a trial mini program is to be authorized.
    BetaAuthorizationApply(TrialApplication),
    /// `betaapp_verify_apply_event`: a trial mini program is to become a regular one.
    BetaVerifyApply(TrialApplication),
    /// `betaapp_verify_event`: it did, or did not.
    BetaVerify(TrialApplication),
    /// Cards, invoices, stores.
    OfStore(StoreEvent),
    /// An event of another area.
    OfArea(EventArea),
    /// An event that we do not know.
    Other,
}

/// `ScanCodeInfo`: what a menu entry scanned.
#[derive(Clone, PartialEq, Eq)]
pub struct ScanCode {
    /// `ScanType`: `qrcode` or `barcode`.
    pub scan_type: Option<String>,
    /// `ScanResult`: what stands in the code.
    pub scan_result: Option<String>,
}

/// `SendPicsInfo`: the pictures that a menu entry sent; they come as messages of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentPictures {
    /// `Count`.
    pub count: Option<String>,
    /// `PicMd5Sum` of each.
    pub md5_sums: Vec<String>,
}

/// One published article of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedArticle {
    /// `idx`: which one.
    pub idx: Option<String>,
    /// `article_url`: where it is read.
    pub article_url: Option<String>,
}

/// One template of notices, and what a fan said of it or what became of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribedTemplate {
    /// `TemplateId`.
    pub template_id: Option<String>,
    /// `SubscribeStatusString`: `accept` or `reject`.
    pub subscribe_status: Option<String>,
    /// `PopupScene`: where the fan was asked.
    pub popup_scene: Option<String>,
    /// `MsgID` of the notice that was sent.
    pub msg_id: Option<String>,
    /// `ErrorCode` of sending it.
    pub error_code: Option<String>,
    /// `ErrorStatus`: the same in words.
    pub error_status: Option<String>,
}

/// What a fan changed of what he had consented to.
#[derive(Clone, PartialEq, Eq)]
pub struct RevokedConsent {
    /// `OpenID`: the fan.
    pub openid: Option<String>,
    /// `AppID`: where he had consented.
    pub appid: Option<String>,
    /// `RevokeInfo`: numbers of what he withdrew.
    pub revoke_info: Vec<String>,
}

/// One verdict of a content check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckVerdict {
    /// `strategy`.
    pub strategy: Option<String>,
    /// `errcode`.
    pub errcode: Option<String>,
    /// `suggest`: `risky`, `pass` or `review`.
    pub suggest: Option<String>,
    /// `label`: the number of what was found.
    pub label: Option<String>,
    /// `prob`: how sure the strategy is.
    pub prob: Option<String>,
}

/// An application about a trial mini program (试用小程序).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialApplication {
    /// `appid`: the trial mini program.
    pub appid: Option<String>,
    /// `mp_appid`: whose it is.
    pub mp_appid: Option<String>,
    /// `operation_time`.
    pub operation_time: Option<String>,
    /// `status`.
    pub status: Option<String>,
    /// `msg`: the same in words.
    pub msg: Option<String>,
    /// `ticket`.
    pub ticket: Option<String>,
}

impl MessageEvent {
    /// Whether sender, second, name and key say which one it is: a fan cannot do that twice in a
    /// second.
    pub(super) fn is_told_by_its_head(&self) -> bool {
        self.is_of_menu()
            || matches!(
                self,
                Self::Subscribe { .. }
                    | Self::Unsubscribe
                    | Self::Scan { .. }
                    | Self::Location(_)
                    | Self::View { .. }
                    | Self::ViewMiniProgram { .. }
            )
    }

    /// Whether the fan did it in the talk with the account, or came there by it.
    pub(super) fn awaits_reply(&self) -> bool {
        self.is_of_menu()
            || matches!(
                self,
                Self::Subscribe { .. }
                    | Self::Scan { .. }
                    | Self::UserEnterTempSession { .. }
                    | Self::OfStore(StoreEvent::UserEnterSessionFromCard)
            )
    }

    /// Whether it is a tap on a menu entry that leads nowhere else.
    fn is_of_menu(&self) -> bool {
        matches!(
            self,
            Self::Click
                | Self::ScanCodePush(_)
                | Self::ScanCodeWait(_)
                | Self::PicSysphoto(_)
                | Self::PicPhotoOrAlbum(_)
                | Self::PicWeixin(_)
                | Self::LocationSelect(_)
        )
    }

    /// Whether no fan did it, as its description says: the sender is an id of the platform's.
    pub(super) fn is_of_platform(&self) -> bool {
        matches!(
            self,
            Self::MassSendJobFinish { .. }
                | Self::PublishJobFinish { .. }
                | Self::Verified { .. }
                | Self::VerificationFailed { .. }
                | Self::WeappAuditSuccess { .. }
                | Self::WeappAuditFail { .. }
                | Self::WeappAuditDelay { .. }
                | Self::WxaNicknameAudit { .. }
                | Self::WxaCategoryAudit { .. }
                | Self::WxaPrivacyApply { .. }
                | Self::WxaIllegalRecord
                | Self::WxaAppealRecord
                | Self::WxVerifyPaySucc
                | Self::WxVerifyDispatch
                | Self::WxaMediaCheck { .. }
                | Self::BetaAuthorizationApply(_)
                | Self::BetaVerifyApply(_)
                | Self::BetaVerify(_)
        )
    }
}

impl fmt::Debug for MessageEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfStore(event) => write!(f, "{event:?}"),
            Self::OfArea(area) => write!(f, "{area:?}"),
            Self::Other => f.write_str("Other"),
            _ => f.write_str("MessageEvent(…)"),
        }
    }
}

impl fmt::Debug for ScanCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScanCode(…)")
    }
}

impl fmt::Debug for RevokedConsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RevokedConsent(…)")
    }
}
